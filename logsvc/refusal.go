package logsvc

import "sync/atomic"

// Refusal is a class of reasons why rows are never stored.
type Refusal int

// The classes.
const (
	// Malformed rows break a rule of the contract.
	Malformed Refusal = iota
	// TooOld rows are older than the retention.
	TooOld
	// TooNew rows are more than a day in the future.
	TooNew
	refusalClasses
)

// String is the class in one word.
func (r Refusal) String() string {
	return [refusalClasses]string{"malformed", "too_old", "too_new"}[r]
}

// RefusedEntry says why an entry is never stored.
type RefusedEntry struct {
	Class   Refusal
	Message string
}

// fits is of an entry that can be stored.
var fits RefusedEntry

// refusals count rows that were refused.
type refusals [refusalClasses]atomic.Int64

func (r *refusals) count(class Refusal) { r[class].Add(1) }

// Refused is how many rows were refused since the start, by class.
func (s *Service) Refused() map[Refusal]int64 {
	counted := make(map[Refusal]int64, refusalClasses)
	for class := range refusalClasses {
		counted[class] = s.refused[class].Load()
	}
	return counted
}
