package grpcserver

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// TestConnectionsEndWithAgeAndNotForOccasionalPings: a client may send a ping every 10 s.
func TestConnectionsEndWithAgeAndNotForOccasionalPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, &keys{})
		began, ended := time.Now(), make(chan struct{})
		pinged := make(chan struct{})
		f.frames(t, func(framer *http2.Framer) {
			go func() {
				defer close(pinged)
				for {
					select {
					case <-time.After(11 * time.Second):
						_ = framer.WritePing(false, [8]byte{}) // the server may have closed the connection
					case <-ended:
						return
					}
				}
			}()
		}, func(frame http2.Frame) bool {
			away, ok := frame.(*http2.GoAwayFrame)
			if ok && away.ErrCode != http2.ErrCodeNo {
				t.Errorf("GOAWAY has %v after %v", away, time.Since(began))
			}
			return ok
		})
		close(ended)
		<-pinged
		// The age of each connection differs by up to a tenth, so that not all clients reconnect at once.
		if age := time.Since(began); age < maxConnectionAge*9/10 || age > maxConnectionAge*11/10 {
			t.Errorf("GOAWAY after %v", age)
		}
	})
}
