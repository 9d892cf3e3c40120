package migrate

import (
	"fmt"
	"time"
)

// tellEvery is how often the progress is told.
const tellEvery = 2 * time.Second

// progress tells how far a part of the move has come.
type progress struct {
	tell        func(string)
	now         func() time.Time
	what        string
	done, total int64 // total 0 = it is not known
	began, next time.Time
}

// newProgress begins a part.
func (m *mover) newProgress(what string, total int64) *progress {
	began := m.config.Now()
	return &progress{tell: m.config.Progress, now: m.config.Now, what: what, total: total, began: began, next: began.Add(tellEvery)}
}

// add takes note of rows that are done.
func (p *progress) add(rows int) {
	p.done += int64(rows)
	if now := p.now(); !now.Before(p.next) {
		p.next = now.Add(tellEvery)
		p.say()
	}
}

// end tells of the whole part.
func (p *progress) end() {
	p.total = 0
	p.say()
}

func (p *progress) say() {
	took := p.now().Sub(p.began)
	text := fmt.Sprintf("%s: %d", p.what, p.done)
	if p.total > 0 {
		text += fmt.Sprintf(" of %d", p.total)
	}
	p.tell(fmt.Sprintf("%s, %.0f s, %.0f/s", text, took.Seconds(), float64(p.done)/max(took.Seconds(), 0.001)))
}
