package serve

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"google.golang.org/grpc/grpclog"
)

// gRPC and grpc-gateway have one logger a process, which must be set before either is used. It writes to whatever
// slog's default is at the time, so that the output of a service stays structured.
func init() {
	grpclog.SetLoggerV2(libraryLog{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)})
}

// libraryLog drops what the libraries say of their daily life, and brings the rest down by a level: their errors
// are about single connections, most of them lost by the other side.
type libraryLog struct{ grpclog.LoggerV2 }

// Error logs an error.
func (libraryLog) Error(args ...any) { slog.Warn("gRPC: " + fmt.Sprint(args...)) }

// Errorln logs an error.
func (libraryLog) Errorln(args ...any) { slog.Warn("gRPC: " + words(args)) }

// Errorf logs an error.
func (libraryLog) Errorf(format string, args ...any) {
	slog.Warn("gRPC: " + fmt.Sprintf(format, args...))
}

// Warning logs a warning.
func (libraryLog) Warning(args ...any) { slog.Debug("gRPC: " + fmt.Sprint(args...)) }

// Warningln logs a warning.
func (libraryLog) Warningln(args ...any) { slog.Debug("gRPC: " + words(args)) }

// Warningf logs a warning.
func (libraryLog) Warningf(format string, args ...any) {
	slog.Debug("gRPC: " + fmt.Sprintf(format, args...))
}

// words puts spaces between all of the arguments, as the …ln functions do.
func words(args []any) string { return strings.TrimSuffix(fmt.Sprintln(args...), "\n") }
