package trail

import (
	"sync"
	"time"
)

// tellEvery is how often, at the most, the log tells of one kind of trouble.
const tellEvery = time.Minute

// occasional sums up what is not to be logged each time.
type occasional struct {
	mu    sync.Mutex
	count int
	told  time.Time
}

// add adds to the sum. Once in a while it is due to be told: then it is answered, and begins anew.
func (o *occasional) add(n int) (count int, due bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count += n
	now := time.Now()
	if !o.told.IsZero() && now.Sub(o.told) < tellEvery {
		return 0, false
	}
	count, o.count, o.told = o.count, 0, now
	return count, true
}
