package cli

import "fmt"

// trailFlags are what can be said about the rows on their way from the checks to the log service.
type trailFlags struct {
	StrangerRowsPerSecond int `default:"${stranger_rows}" help:"How many request logs a second each workspace may have of calls that proved no key, with a burst of ten times that; the calls above share one row a second for each error code."`
}

// mostStrangerRows is more than a process can check; it keeps the burst within what can be counted.
const mostStrangerRows = 1_000_000

// validate says which setting is wrong and why.
func (f trailFlags) validate() error {
	if f.StrangerRowsPerSecond < 1 || f.StrangerRowsPerSecond > mostStrangerRows {
		return fmt.Errorf("--stranger-rows-per-second: must be 1 to %d, got %d", mostStrangerRows, f.StrangerRowsPerSecond)
	}
	return nil
}
