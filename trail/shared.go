package trail

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/keytrail/keytrail/trail/wal"
)

// maxReplicas is how many trails one folder can hold.
const maxReplicas = 100

// OpenShared opens one of the trails in a folder that several processes of one machine share: config.Dir/0, 1 and so on.
// It takes one that no process has, before all others one on which rows wait: so a replica goes on with what another one
// has left behind, whichever of them it was.
func OpenShared(config Config) (*Trail, error) {
	dirs, _, err := shared(config.Dir)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		own := config
		own.Dir = dir
		t, err := Open(own)
		if errors.Is(err, wal.ErrInUse) {
			continue
		}
		if err == nil {
			t.folder = config
		}
		return t, err
	}
	return nil, fmt.Errorf("all of the %d trails in the folder are in use", maxReplicas)
}

const (
	// inheritEvery is how often a replica looks for what others have left.
	inheritEvery = 10 * time.Second
	// inheritTime is how long it keeps a trail that does not become empty. A slow log service needs some of it for every
	// window, and the reader a minute to give up what the disk cannot read.
	inheritTime = 2 * time.Minute
)

// inherit ships, until ctx ends, what replicas that are gone have left on their trails in the shared folder.
func (t *Trail) inherit(ctx context.Context) {
	for t.folder.Dir != "" && ctx.Err() == nil {
		pause(ctx.Done(), inheritEvery)
		dirs, waiting, err := shared(t.folder.Dir)
		if err != nil {
			t.delays.add(1, err)
			continue
		}
		for _, dir := range dirs[:waiting] {
			if ctx.Err() != nil {
				return
			}
			if err := t.inheritFrom(ctx, dir); err != nil && !errors.Is(err, wal.ErrInUse) {
				t.delays.add(1, err)
			}
		}
	}
}

// inheritFrom takes a trail that no process has, ships it, and lets it go: at the latest after inheritTime, or a drain's
// time after ctx has ended. What is left then is there the next time.
func (t *Trail) inheritFrom(ctx context.Context, dir string) error {
	config := t.folder
	config.Dir = dir
	left, err := open(config, t.metrics.inherit())
	if err != nil {
		return err
	}
	t.log.Info("request logs that another replica has left are shipped", "trail", dir)
	longer, cancel := outlive(ctx, drainTime)
	defer cancel()
	sending, end := context.WithTimeout(longer, inheritTime)
	defer end()
	// Nobody puts rows onto it, so it is drained from the beginning.
	ending := make(chan struct{})
	close(ending)
	return errors.Join(left.newShipper(ending).drain(sending), left.Close())
}

// shared lists the trails that a folder may hold: first those on which something waits, and how many these are.
func shared(dir string) (dirs []string, waiting int, err error) {
	var free []string
	for i := range maxReplicas {
		one := filepath.Join(dir, strconv.Itoa(i))
		left, err := wal.Left(one)
		if err != nil {
			return nil, 0, fmt.Errorf("look for trails: %w", err)
		}
		if left {
			dirs = append(dirs, one)
		} else {
			free = append(free, one)
		}
	}
	return append(dirs, free...), len(dirs), nil
}
