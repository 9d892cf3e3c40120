package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// refreshInterval is how often the keys of an issuer are fetched. If that fails, the known keys remain in use.
	refreshInterval = time.Minute
	// minRefreshInterval limits the fetches that unknown keys cause.
	minRefreshInterval = 10 * time.Second
	// fetchTimeout bounds one fetch.
	fetchTimeout = 3 * time.Second
	// maxResponse is the maximum size of a response.
	maxResponse = 1 << 20
)

// ValidIssuer returns an error if a URL is not valid for an OIDC issuer. Whoever can change the responses of an issuer can
// forge tokens.
func ValidIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q must be a URL like https://login.example.com", issuer)
	}
	return safeURL(issuer)
}

// safeURL returns an error unless a URL is https or on this machine.
func safeURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return fmt.Errorf("%q must begin with https://, except on this machine", text)
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// issuer is an OIDC issuer with the keys that sign its tokens. They are fetched in the background, because tokens are
// verified where nothing may wait.
type issuer struct {
	url    string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
	// wake requests a fetch.
	wake chan struct{}

	mu   sync.Mutex
	keys map[string]jose.JSONWebKey // by kid
	// attempted is when the last fetch began, and fetched when the last one succeeded; zero = never.
	attempted, fetched time.Time
	// tried reports whether a fetch has ended.
	tried bool
}

func newIssuer(url string, now func() time.Time, log *slog.Logger) *issuer {
	return &issuer{
		url: url, now: now, log: log, wake: make(chan struct{}, 1),
		// A redirect would leave the host that is trusted.
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// key returns a key. For an unknown key it requests a fetch: the key is known to be wrong only if the keys were fetched
// within the last moments.
func (i *issuer) key(kid string) (jose.JSONWebKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key, known := i.keys[kid]
	if known {
		return key, nil
	}
	now := i.now()
	if now.Sub(i.attempted) >= minRefreshInterval {
		select {
		case i.wake <- struct{}{}:
		default:
		}
	}
	if now.Sub(i.fetched) < minRefreshInterval {
		return key, errUnknownKey
	}
	return key, fault.New(fault.IssuerUnreachable, "the token's issuer cannot be asked for its keys; try again later")
}

// started reports whether a fetch has ended, with or without keys.
func (i *issuer) started() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.tried
}

// run fetches the keys until ctx ends.
func (i *issuer) run(ctx context.Context) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		i.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-i.wake:
		}
	}
}

// refresh fetches the keys once.
func (i *issuer) refresh(ctx context.Context) {
	i.mu.Lock()
	i.attempted = i.now()
	i.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, err := i.fetch(ctx)
	i.mu.Lock()
	i.tried = true
	if err == nil {
		i.keys, i.fetched = keys, i.now()
	}
	i.mu.Unlock()
	if err != nil {
		i.log.Warn("cannot fetch the keys of an OIDC issuer; the known keys remain in use", "issuer", i.url, "error", err)
	}
}

// fetch reads the issuer's discovery document, then the keys.
func (i *issuer) fetch(ctx context.Context) (map[string]jose.JSONWebKey, error) {
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := i.get(ctx, strings.TrimSuffix(i.url, "/")+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, err
	}
	if discovery.Issuer != i.url {
		return nil, fmt.Errorf("the discovery document names another issuer: %.200q", discovery.Issuer)
	}
	if err := i.safeKeys(discovery.JWKSURI); err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := i.get(ctx, discovery.JWKSURI, &set); err != nil {
		return nil, err
	}
	return signingKeys(set.Keys), nil
}

// safeKeys returns an error if keys must not be fetched from a URL that the issuer names. A remote issuer must not make this
// process call services of its own machine.
func (i *issuer) safeKeys(url string) error {
	if !strings.HasPrefix(i.url, "http:") && !strings.HasPrefix(url, "https:") {
		return fmt.Errorf("%.200q must begin with https://", url)
	}
	return safeURL(url)
}

// signingKeys returns the public signing keys of a set that have a `kid`. It ignores keys of unknown types.
func signingKeys(set []json.RawMessage) map[string]jose.JSONWebKey {
	keys := map[string]jose.JSONWebKey{}
	for _, text := range set {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) == nil && key.KeyID != "" && key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig") {
			keys[key.KeyID] = key
		}
	}
	return keys
}

func (i *issuer) get(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := i.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxResponse)).Decode(into); err != nil {
		return errors.New("GET " + url + ": unexpected JSON")
	}
	return nil
}
