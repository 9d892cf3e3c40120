package serve

import (
	"bytes"
	"context"
	"log/slog"
)

// httpLog takes what net/http has to say.
type httpLog struct{ log *slog.Logger }

// ofStrangers are the beginnings of what it says of a single connection. Whoever connects could fill the log with it.
var ofStrangers = [][]byte{[]byte("http: TLS handshake error"), []byte("http2: "), []byte("timeout waiting for SETTINGS frames")}

// Write logs a line.
func (l httpLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	for _, beginning := range ofStrangers {
		if bytes.HasPrefix(line, beginning) {
			level = slog.LevelDebug
		}
	}
	l.log.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}
