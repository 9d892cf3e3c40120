package cli

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/keytrail/keytrail/internal/access"
)

// maxTTL is the longest life of a token. One that has got out is good until it ends, or until its key is replaced.
const maxTTL = 366 * 24 * time.Hour

type tokenCommand struct {
	Create tokenCreate `cmd:"" help:"Make a token and print it."`
	Keygen tokenKeygen `cmd:"" help:"Make a key that signs tokens."`
}

type tokenCreate struct {
	SigningKey string        `type:"path" help:"PEM file with the private key to sign with; without it, the one in the data folder."`
	DataDir    string        `default:"${data_dir}" type:"path" help:"The data folder of keytrail serve."`
	Role       string        `env:"-" required:"" enum:"checker,ingester,viewer,admin" help:"What its bearer may do: checker (check and report calls), ingester (record request logs), viewer (read keys and logs) or admin (and change keys, purge)."`
	Workspaces []string      `env:"-" sep:"none" short:"w" name:"workspace" required:"" help:"A workspace in which it holds; repeat it for more. '*' alone is all of them."`
	TTL        time.Duration `env:"-" name:"ttl" default:"1h" help:"How long it lives, 1s to 8784h. It cannot be taken back before, except by replacing the key."`
}

// Validate says which setting is wrong and why.
func (c *tokenCreate) Validate() error {
	if c.TTL < time.Second || c.TTL > maxTTL {
		return fmt.Errorf("--ttl: must be 1s to %v, got %v", maxTTL, c.TTL)
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

// Run prints the token, and nothing else, to the standard output.
func (c *tokenCreate) Run(to console) error {
	signer, err := access.ReadSigner(cmp.Or(c.SigningKey, filepath.Join(c.DataDir, signingKeyFile)))
	if err != nil {
		return err
	}
	token, err := signer.Token(access.Grant{
		Role: access.Role(c.Role), Workspaces: c.Workspaces, From: time.Now(), TTL: c.TTL,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(to.out, token)
	return err
}

type tokenKeygen struct {
	Out       string `env:"-" required:"" type:"path" help:"File for the private key, for its owner alone. It must not be there yet."`
	PublicOut string `env:"-" type:"path" help:"File for the public key, likewise; without it, it is printed."`
	IfMissing bool   `env:"-" help:"Leave files that are there as they are, instead of failing."`
}

// Run makes the files. A key that is there is never written over: its tokens would all be worth nothing.
func (c *tokenKeygen) Run(to console) error {
	signer, err := c.signer(to)
	if err != nil {
		return err
	}
	if c.PublicOut != "" {
		err := signer.SavePublic(c.PublicOut)
		if c.IfMissing && errors.Is(err, fs.ErrExist) {
			return c.expectPair(signer)
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

// expectPair makes sure that a public file that is there takes the tokens of the private key: a service would refuse every
// one of them otherwise.
func (c *tokenKeygen) expectPair(signer *access.Signer) error {
	taken, err := access.ReadPublicKeys(c.PublicOut)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(taken, func(key ed25519.PublicKey) bool { return key.Equal(signer.Public()) }) {
		return fmt.Errorf("%s is not of the private key in %s: remove it, and run the command again", c.PublicOut, c.Out)
	}
	return nil
}

// signer makes the private key, or reads the one that is there and may stay.
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
	fmt.Fprintf(to.err, "The private key is in %s. Services that take its tokens need the public one, in --token-keys.\n", c.Out)
	return signer, nil
}
