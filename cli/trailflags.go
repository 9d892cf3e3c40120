package cli

import (
	"fmt"
	"time"

	"github.com/keytrail/keytrail/trail"
)

// trailFlags are the settings of the trail, the queue on disk between the checks and the request logs.
type trailFlags struct {
	TrailFsync            time.Duration `default:"100ms" help:"How long a row may wait to be synced to the disk: what a crash of the machine, not of the process, can lose. 0 = synced before every answer."`
	TrailMaxBytes         int64         `default:"1073741824" help:"How many bytes of rows may wait on the disk while the log service is away, dead letters included; at least 8388608."`
	StrangerRowsPerSecond int           `default:"${stranger_rows}" help:"How many request logs a second each workspace may have of calls that proved no key, with a burst of ten times that; the calls above share one row a second for each error code."`
	TrailFull             string        `default:"allow" enum:"allow,refuse" help:"What happens to calls that cannot be recorded, because the trail is full or the disk fails: allow = they are checked, and counted; refuse = they get 503."`
}

// The values of trailFlags.TrailFull.
const (
	trailFullAllow  = "allow"
	trailFullRefuse = "refuse"
)

// mostStrangerRows is more than a process can check; it keeps the burst within what can be counted.
const mostStrangerRows = 1_000_000

// validate says which setting is wrong and why.
func (f trailFlags) validate() error {
	switch {
	case f.TrailFsync < 0 || f.TrailFsync > time.Minute:
		return fmt.Errorf("--trail-fsync: must be 0 to 1m, got %v", f.TrailFsync)
	case f.TrailMaxBytes < trail.MinBytes:
		return fmt.Errorf("--trail-max-bytes: must be at least %d, got %d", trail.MinBytes, f.TrailMaxBytes)
	case f.TrailFull != trailFullAllow && f.TrailFull != trailFullRefuse:
		return fmt.Errorf("--trail-full: must be %s or %s, got %q", trailFullAllow, trailFullRefuse, f.TrailFull)
	case f.StrangerRowsPerSecond < 1 || f.StrangerRowsPerSecond > mostStrangerRows:
		return fmt.Errorf("--stranger-rows-per-second: must be 1 to %d, got %d", mostStrangerRows, f.StrangerRowsPerSecond)
	}
	return nil
}
