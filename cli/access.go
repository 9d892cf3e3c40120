package cli

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/keytrail/keytrail/internal/access"
)

const (
	defaultDataDir = "./keytrail-data"
	// signingKeyFile is where in its data folder `keytrail serve` has the key that signs tokens.
	signingKeyFile = "signing-key.pem"
)

// tokenFlags say whose tokens a service takes.
type tokenFlags struct {
	TokenKeys   []string `type:"path" help:"PEM files with the keys of the tokens that are accepted: public keys, or the private ones themselves. Several let one be replaced."`
	OIDCIssuers []string `name:"oidc-issuers" help:"OpenID Connect issuers whose tokens are accepted, e.g. https://login.example.com; their audience must be keytrail."`
}

func (f tokenFlags) validate() error {
	for _, issuer := range f.OIDCIssuers {
		if err := access.ValidIssuer(issuer); err != nil {
			return fmt.Errorf("--oidc-issuers: %w", err)
		}
	}
	return nil
}

// validateAny is for services that have no key of their own: nobody could call one that takes no tokens.
func (f tokenFlags) validateAny() error {
	if len(f.TokenKeys) == 0 && len(f.OIDCIssuers) == 0 {
		return errors.New("--token-keys, --oidc-issuers: one must say whose tokens are accepted; `keytrail token keygen` makes a key")
	}
	return f.validate()
}

// verifier makes the verifier of tokens that are signed with the keys of the flags or with own ones.
func (f tokenFlags) verifier(now func() time.Time, log *slog.Logger, own ...ed25519.PublicKey) (*access.Verifier, error) {
	keys, err := access.ReadPublicKeys(f.TokenKeys...)
	if err != nil {
		return nil, fmt.Errorf("--token-keys: %w", err)
	}
	return access.NewVerifier(access.Config{Keys: append(own, keys...), Issuers: f.OIDCIssuers, Now: now, Log: log})
}

// callerFlags say with which token the auth service calls the log service.
type callerFlags struct {
	LogsTokenFile string `type:"path" xor:"caller" help:"File with a token of the role ingester and all workspaces, to send to the log service. It is read again whenever it is needed."`
	SigningKey    string `type:"path" xor:"caller" help:"PEM file with a private key of the log service's --token-keys, to make such tokens with instead."`
}

func (f callerFlags) validate() error {
	if f.LogsTokenFile == "" && f.SigningKey == "" {
		return errors.New("--logs-token-file, --signing-key: one must say how to call the log service")
	}
	return nil
}

func (f callerFlags) credentials(now func() time.Time, log *slog.Logger) (credentials.PerRPCCredentials, error) {
	if f.LogsTokenFile != "" {
		return access.TokenFile(f.LogsTokenFile), nil
	}
	signer, err := access.ReadSigner(f.SigningKey)
	if err != nil {
		return nil, fmt.Errorf("--signing-key: %w", err)
	}
	tellOpenKey(log, f.SigningKey)
	return access.NewMinter(signer, now), nil
}

// callerToken says with which token a command calls.
type callerToken struct {
	Token   string `help:"The token to call with; better given as KEYTRAIL_TOKEN, where other users of the machine cannot see it. Without one, the signing key in the data folder makes one for each call on this machine."`
	DataDir string `default:"${data_dir}" type:"path" help:"The data folder of keytrail serve, where it runs on this machine."`
}

// tokenHint says what to do where a token is missing or no good.
const tokenHint = "KEYTRAIL_TOKEN is the token that commands send; where `keytrail serve` runs, --data-dir is enough"

// options are how a connection to addr sends the token. Without one nothing is sent: the service says what it wants.
func (c callerToken) options(addr string) ([]grpc.DialOption, error) {
	if c.Token != "" {
		return []grpc.DialOption{grpc.WithPerRPCCredentials(access.NewToken(c.Token))}, nil
	}
	// What the local key signs is good for everything here. It must not be sent to another machine.
	if !onThisMachine(addr) {
		return nil, nil
	}
	signer, err := access.ReadSigner(filepath.Join(c.DataDir, signingKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []grpc.DialOption{grpc.WithPerRPCCredentials(access.NewMinter(signer, time.Now))}, nil
}

// tellToken says how to get a token. The token itself is shown to a person at a terminal only: everywhere else what is
// written here ends up in a log, where a token that opens everything must not be.
func tellToken(w io.Writer, dataDir string, now time.Time) error {
	file := filepath.Join(dataDir, signingKeyFile)
	fmt.Fprintf(w, `Calls need a token. The commands of keytrail on this machine make theirs themselves, from the key in
%s; others get one of

  keytrail token create --data-dir %s --role viewer --workspace acme

`, file, dataDir)
	if !terminal(w) {
		return nil
	}
	signer, err := access.ReadSigner(file)
	if err != nil {
		return err
	}
	token, err := signer.Token(access.Grant{
		Role: access.Admin, Workspaces: []string{access.AllWorkspaces}, From: now, TTL: welcomeTTL,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "For the next %v this one may do what an admin may, in all workspaces:\n\n%s\n\n", welcomeTTL, token)
	return nil
}

// welcomeTTL is how long the token lives that is shown at the start.
const welcomeTTL = 12 * time.Hour

// terminal tells whether a person reads what is written.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
