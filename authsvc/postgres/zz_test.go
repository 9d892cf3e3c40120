package postgres_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
)

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func TestLab(t *testing.T) {
	url := os.Getenv("LAB")
	if url == "" {
		t.Skip("")
	}
	store, err := postgres.Open(t.Context(), url)
	must(t, err)
	defer store.Close()
	for range 3 {
		h := heap()
		ring := authsvc.NewKeyring(store, time.Now)
		c, b := cpu(), time.Now()
		must(t, ring.Refresh(t.Context()))
		w, cc := time.Since(b), cpu()-c
		fmt.Println("wall", w, "cpu", cc, "B/key", (heap()-h)/1000000)
		c, b = cpu(), time.Now()
		n := 0
		must(t, store.Changes(t.Context(), 0, func(authsvc.Change) error { n++; return nil }))
		fmt.Println("store only wall", time.Since(b), "cpu", cpu()-c)
		_ = ring.Staleness()
	}
}
