package authsvc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// ringOf returns a keyring with a key of each workspace.
func ringOf(workspaces []string) *Keyring {
	ring := NewKeyring(nil, func() time.Time { return noon })
	for i, id := range workspaces {
		key := Key{ID: uuid.New(), WorkspaceID: id, Secrets: []Secret{{Digest: Digest{byte(i), byte(i >> 8)}}}}
		ring.keys.apply(&Change{Key: key})
	}
	return ring
}

func TestKeyringReturnsTheFirstWorkspaces(t *testing.T) {
	var all []string
	for i := range 5000 {
		all = append(all, fmt.Sprintf("w%04d", i))
	}
	shuffled := slices.Clone(all)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	ring := ringOf(shuffled)
	for _, limit := range []int{1, 2, 3, 7, 1000, 5000, 6000} {
		for _, from := range []int{0, 1, 2500, 4998, 5000} {
			after := ""
			if from > 0 {
				after = all[from-1]
			}
			want := all[from:min(from+limit, len(all))]
			if got := ring.workspacesAfter(after, limit); !slices.Equal(got, want) {
				t.Errorf("%d after %q: %d from %.3q", limit, after, len(got), got)
			}
		}
	}
}

// TestWorkspacesAreReadWhileKeysChange: what is there all the time is returned. The race detector looks at the rest.
func TestWorkspacesAreReadWhileKeysChange(t *testing.T) {
	var all []string
	for i := range 3 * workspacesAtOnce {
		all = append(all, fmt.Sprintf("w%04d", i))
	}
	ring := ringOf(all)
	var changing sync.WaitGroup
	stop := make(chan struct{})
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			key := Key{ID: uuid.New(), WorkspaceID: fmt.Sprintf("x%04d", i%1000), Secrets: []Secret{{Digest: Digest{31: 1}}}}
			ring.apply([]Change{{Key: key}, {Key: key, Deleted: true}}, Position{}, noon)
		}
	})
	for range 20 {
		if got := ring.workspacesAfter("", len(all)); !slices.Equal(got, all) {
			t.Errorf("%d workspaces", len(got))
		}
	}
	close(stop)
	changing.Wait()
}
