package postgres

import "time"

// Dropping is the comment of tables that this service detaches to drop them.
const Dropping = dropping

// SetWalkTime sets how long one View may walk rows that do not match.
func (s *Store) SetWalkTime(d time.Duration) { s.walkTime = d }
