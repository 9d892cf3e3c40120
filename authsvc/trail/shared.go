package trail

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/keytrail/keytrail/authsvc/trail/journal"
)

// maxReplicas is how many trails one folder can hold.
const maxReplicas = 100

// OpenShared opens one of the trails in a folder that several processes of one machine share: config.Dir/0, 1 and so on.
// It takes one that no process has, before all others one on which rows wait: so a replica goes on with what another one
// has left behind, whichever of them it was.
func OpenShared(config Config) (*Trail, error) {
	dirs, err := shared(config.Dir)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		config.Dir = dir
		t, err := Open(config)
		if !errors.Is(err, journal.ErrInUse) {
			return t, err
		}
	}
	return nil, fmt.Errorf("all of the %d trails in the folder are in use", maxReplicas)
}

// shared lists the trails that a folder may hold, those on which something waits first.
func shared(dir string) ([]string, error) {
	waiting := map[string]bool{}
	dirs := make([]string, maxReplicas)
	for i := range dirs {
		dirs[i] = filepath.Join(dir, strconv.Itoa(i))
		left, err := journal.Left(dirs[i])
		if err != nil {
			return nil, fmt.Errorf("look for trails: %w", err)
		}
		waiting[dirs[i]] = left
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return cmp.Compare(rank(waiting[a]), rank(waiting[b])) })
	return dirs, nil
}

func rank(waiting bool) int {
	if waiting {
		return 0
	}
	return 1
}
