package cli

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/gateway"
	"github.com/keytrail/keytrail/internal/access"
)

// maxTTL limits the lifetime of tokens, because a leaked token is valid until it expires or its key is replaced.
const maxTTL = 366 * 24 * time.Hour

type tokenCommand struct {
	Create tokenCreate `cmd:"" help:"Create a token and print it."`
	Keygen tokenKeygen `cmd:"" help:"Create a key that signs tokens."`
}

type tokenCreate struct {
	SigningKey string        `type:"path" help:"PEM file with the private key to sign with (default: the key in --data-dir)."`
	DataDir    string        `default:"${data_dir}" type:"path" help:"Data folder of keytrail serve."`
	Role       string        `env:"-" required:"" enum:"checker,ingester,viewer,admin" help:"Role: checker (check and report calls), ingester (record request logs), viewer (read keys and logs) or admin (viewer, and change keys and purge logs)."`
	Workspaces []string      `env:"-" sep:"none" short:"w" name:"workspace" required:"" help:"Workspace in which the token is valid. Can be repeated. '*' alone = all workspaces."`
	TTL        time.Duration `env:"-" name:"ttl" default:"1h" help:"Lifetime, 1s to 8784h. A token can be revoked only by replacing the key."`
	ConsoleURL string        `env:"-" name:"console-url" help:"Print a link that signs in to the console at this URL, e.g. http://localhost:8080, instead of the token alone."`
}

// Validate implements kong's validation.
func (c *tokenCreate) Validate() error {
	if c.TTL < time.Second || c.TTL > maxTTL {
		return fmt.Errorf("--ttl: must be 1s to %v, got %v", maxTTL, c.TTL)
	}
	if c.ConsoleURL != "" {
		if err := gateway.ValidOrigin(c.consoleURL()); err != nil {
			return fmt.Errorf("--console-url: %w", err)
		}
	}
	if slices.Equal(c.Workspaces, []string{access.AllWorkspaces}) {
		return nil
	}
	for _, id := range c.Workspaces {
		if id == access.AllWorkspaces {
			return errors.New("--workspace: '*' is all workspaces: name no other beside it")
		}
		if !access.ValidWorkspace(id) {
			return fmt.Errorf("--workspace: %q must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit", id)
		}
	}
	return nil
}

// consoleURL returns the URL as signInLink needs it.
func (c *tokenCreate) consoleURL() string { return strings.TrimSuffix(c.ConsoleURL, "/") }

// Run prints the token, or the link with it, and nothing else to standard output.
func (c *tokenCreate) Run(to console) error {
	signer, err := access.ReadSigner(cmp.Or(c.SigningKey, filepath.Join(c.DataDir, app.SigningKeyFile)))
	if err != nil {
		return err
	}
	token, err := signer.Token(access.Grant{
		Role: access.Role(c.Role), Workspaces: c.Workspaces, From: time.Now(), TTL: c.TTL,
	})
	if err != nil {
		return err
	}
	if c.ConsoleURL != "" {
		token = signInLink(c.consoleURL(), token)
	}
	_, err = fmt.Fprintln(to.out, token)
	return err
}

type tokenKeygen struct {
	Out       string `env:"-" required:"" type:"path" help:"File to write the private key to, readable by its owner only. Must not exist."`
	PublicOut string `env:"-" type:"path" help:"File to write the public key to. Must not exist (default: print the key)."`
	IfMissing bool   `env:"-" help:"Keep existing files instead of failing."`
}

// Run creates the files. It never overwrites a key, because all its tokens would become invalid.
func (c *tokenKeygen) Run(to console) error {
	signer, err := c.signer(to)
	if err != nil {
		return err
	}
	if c.PublicOut != "" {
		err := signer.SavePublic(c.PublicOut)
		if c.IfMissing && errors.Is(err, fs.ErrExist) {
			return c.checkPair(signer)
		}
		return err
	}
	text, err := signer.PublicPEM()
	if err != nil {
		return err
	}
	_, err = to.out.Write(text)
	return err
}

// checkPair checks that an existing public file contains the public key of signer. Otherwise a service would refuse all
// tokens of signer.
func (c *tokenKeygen) checkPair(signer *access.Signer) error {
	accepted, err := access.ReadPublicKeys(c.PublicOut)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(accepted, func(key ed25519.PublicKey) bool { return key.Equal(signer.Public()) }) {
		return fmt.Errorf("%s does not contain the public key of %s: remove it and run the command again", c.PublicOut, c.Out)
	}
	return nil
}

// signer creates the private key, or reads the existing one with --if-missing.
func (c *tokenKeygen) signer(to console) (*access.Signer, error) {
	signer, err := access.NewSigner()
	if err != nil {
		return nil, err
	}
	err = signer.Save(c.Out)
	if c.IfMissing && errors.Is(err, fs.ErrExist) {
		return access.ReadSigner(c.Out)
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(to.err, "Wrote the private key to %s. Services that accept its tokens need the public key in --token-keys.\n", c.Out)
	return signer, nil
}
