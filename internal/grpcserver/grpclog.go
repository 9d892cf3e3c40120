package grpcserver

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"google.golang.org/grpc/grpclog"
)

// gRPC and grpc-gateway have one logger per process, which must be set before they are used. It writes to slog.Default.
func init() {
	grpclog.SetLoggerV2(libraryLog{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)})
}

// libraryLog drops informational lines and logs the others one level lower: their errors concern single connections, most
// of them closed by the other side.
type libraryLog struct{ grpclog.LoggerV2 }

// Error logs an error.
func (libraryLog) Error(args ...any) { slog.Warn("gRPC: " + fmt.Sprint(args...)) }

// Errorln logs an error.
func (libraryLog) Errorln(args ...any) { slog.Warn("gRPC: " + join(args)) }

// Errorf logs an error.
func (libraryLog) Errorf(format string, args ...any) {
	slog.Warn("gRPC: " + fmt.Sprintf(format, args...))
}

// Warning logs a warning.
func (libraryLog) Warning(args ...any) { slog.Debug("gRPC: " + fmt.Sprint(args...)) }

// Warningln logs a warning.
func (libraryLog) Warningln(args ...any) { slog.Debug("gRPC: " + join(args)) }

// Warningf logs a warning.
func (libraryLog) Warningf(format string, args ...any) {
	slog.Debug("gRPC: " + fmt.Sprintf(format, args...))
}

// join puts spaces between the arguments, as fmt.Sprintln does.
func join(args []any) string { return strings.TrimSuffix(fmt.Sprintln(args...), "\n") }
