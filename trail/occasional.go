package trail

import (
	"sync"
	"time"
)

// tellEvery is how often, at the most, the log tells of one kind of trouble.
const tellEvery = time.Minute

// occasional tells of trouble that may come often: at once, and then with the sum of what has come since.
type occasional struct {
	// tell writes to the log; err is the last one that was added.
	tell func(count int, err error)

	mu    sync.Mutex
	count int
	err   error
	told  time.Time
}

// add adds to the sum, and tells it where that is due.
func (o *occasional) add(n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count, o.err = o.count+n, err
	o.due()
}

// rest tells what was added since the last time, where that is due.
func (o *occasional) rest() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due()
}

// last tells what was added since the last time, because the process is about to end.
func (o *occasional) last() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = time.Time{}
	o.due()
}

// due tells the sum and begins a new one; the caller holds the lock.
func (o *occasional) due() {
	now := time.Now()
	if o.count == 0 || !o.told.IsZero() && now.Sub(o.told) < tellEvery {
		return
	}
	o.tell(o.count, o.err)
	o.count, o.told = 0, now
}
