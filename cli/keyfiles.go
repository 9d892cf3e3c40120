package cli

import (
	"fmt"
	"log/slog"
	"os"
)

// tellOpenKey warns of a file with a private key that every user of the machine may use. It is no error: Kubernetes mounts
// secrets so, where there is nobody else.
func tellOpenKey(log *slog.Logger, file string) {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o007 == 0 {
		return // what cannot be read is for the reader to say
	}
	log.Warn("every user of this machine may use a private key; take the rights of others away (chmod o=)",
		"file", file, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
}
