package pgserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// BinariesVariable names the folder of initdb and postgres in the environment, where they are not found by themselves.
const BinariesVariable = "KEYTRAIL_POSTGRES_BIN"

// ErrNoBinaries is what Start answers where there is no Postgres. Its text says how to get one.
var ErrNoBinaries = errors.New("no Postgres here: apt-get install postgresql, or set " + BinariesVariable +
	" to the folder that holds initdb and postgres")

// debianFolders holds the binaries of each version on Debian and its kin.
const debianFolders = "/usr/lib/postgresql/*/bin"

// findBinaries answers the folder of the binaries: the one that the environment names, and no other; else the
// one of the PATH; else the highest version of Debian's.
func findBinaries() (string, error) {
	if named := os.Getenv(BinariesVariable); named != "" {
		return firstWhole([]string{named})
	}
	var candidates []string
	if initdb, err := exec.LookPath("initdb"); err == nil {
		// What a link leads to has the other programs beside it.
		if target, err := filepath.EvalSymlinks(initdb); err == nil {
			candidates = append(candidates, filepath.Dir(target))
		}
		candidates = append(candidates, filepath.Dir(initdb))
	}
	return firstWhole(append(candidates, byVersion(debianFolders)...))
}

// byVersion lists the folders that match, the highest version first.
func byVersion(pattern string) []string {
	folders, _ := filepath.Glob(pattern) // the pattern is well formed
	version := func(folder string) float64 {
		v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(folder)), 64)
		return v
	}
	slices.SortFunc(folders, func(a, b string) int { return int(10 * (version(b) - version(a))) })
	return folders
}

// firstWhole answers the first folder that holds all that is needed.
func firstWhole(folders []string) (string, error) {
	for _, folder := range folders {
		if executable(filepath.Join(folder, "initdb")) && executable(filepath.Join(folder, "postgres")) {
			return folder, nil
		}
	}
	return "", ErrNoBinaries
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
