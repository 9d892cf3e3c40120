package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints what was built, from what.
func (versionCommand) Run(to console) error {
	_, err := fmt.Fprintf(to.out, "keytrail %s %s %s/%s\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// stampedVersion and stampedRevision are set by builds that do not see the repository: -ldflags "-X …/cli.stampedVersion=v1".
var stampedVersion, stampedRevision string

// Version is the module's version, with the revision where the build knows it.
func Version() string {
	if stampedVersion != "" {
		return fmt.Sprintf("%s (%.12s)", stampedVersion, stampedRevision)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return fmt.Sprintf("%s (%.12s)", info.Main.Version, setting.Value)
		}
	}
	return info.Main.Version
}
