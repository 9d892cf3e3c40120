package sqlite

import (
	"context"
	"fmt"

	"github.com/keytrail/keytrail/logsvc"
)

// Listen implements logsvc.Store. Only this process stores batches.
func (s *Store) Listen(ctx context.Context, ready func(), announce func(logsvc.Announcement)) error {
	s.listening.Lock()
	s.listeners[&announce] = struct{}{}
	s.listening.Unlock()
	ready()
	<-ctx.Done()
	s.listening.Lock()
	delete(s.listeners, &announce)
	s.listening.Unlock()
	return fmt.Errorf("listen to request logs: %w", ctx.Err())
}

// announce calls the listeners after a commit.
func (s *Store) announce(entries []logsvc.Entry) {
	s.listening.RLock()
	defer s.listening.RUnlock()
	if len(s.listeners) == 0 {
		return
	}
	announcement := logsvc.Announce(entries)
	for announce := range s.listeners {
		(*announce)(announcement)
	}
}
