package grpcserver

import (
	"log/slog"
	"testing"

	"google.golang.org/grpc/grpclog"

	"github.com/keytrail/keytrail/internal/testing/logtest"
)

func TestGRPCLogsToSlog(t *testing.T) {
	before, log := slog.Default(), &logtest.Buffer{}
	slog.SetDefault(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)
	grpclog.Info("daily life")
	grpclog.Warningf("%d times", 2)
	grpclog.Component("core").Errorf("lost %s", "it")
	var got []string
	for _, record := range log.Records(t) {
		got = append(got, record["level"].(string)+" "+record["msg"].(string))
	}
	if len(got) != 2 || got[0] != "DEBUG gRPC: 2 times" || got[1] != "WARN gRPC: [core] lost it" {
		t.Errorf("logged %q", got)
	}
}
