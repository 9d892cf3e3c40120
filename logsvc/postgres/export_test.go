package postgres

import "time"

// SetWalkTime sets how long one View may walk rows that do not match.
func (s *Store) SetWalkTime(d time.Duration) { s.walkTime = d }
