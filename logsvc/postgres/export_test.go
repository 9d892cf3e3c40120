package postgres

import "time"

// Dropping is the comment of tables that this service detaches to drop them.
const Dropping = dropping

// LayoutLock is the advisory lock of changes of the layout.
const LayoutLock = int64(layoutLock)

// SetWalkTime sets how long one View may walk rows that do not match.
func (s *Store) SetWalkTime(d time.Duration) { s.walkTime = d }

// SetListenCheck sets how long a connection that listens is silent before it is checked, and how long that may take.
func (s *Store) SetListenCheck(d time.Duration) { s.listenCheck = d }
