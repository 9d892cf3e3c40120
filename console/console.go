// Package console embeds the web page that the gateway serves. Its sources are beside it; dist has the built files.
package console

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files returns the built files: index.html, and in assets what it refers to as /console/assets/NAME-HASH.js and .css.
func Files() (fs.FS, error) { return fs.Sub(dist, "dist") }
