package pgdb

import (
	"net"
	"time"
)

// silence is how long a connection may be without any sign of the server before it counts as lost. Without a limit
// a machine that vanished, or a firewall that forgot, would hold a query for a quarter of an hour.
const silence = 30 * time.Second

// dialer makes connections that notice when the other side is gone: while they are idle, as a listener is, by
// keep-alive probes, and while they wait for an answer by the limit on unacknowledged data.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 6, Count: 3},
		Control:         limitUnacknowledged,
	}
}
