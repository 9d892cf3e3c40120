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
	// keysFor is for how long the keys of an issuer are used before it is asked again. Where it is away then, they go
	// on being used until it is back.
	keysFor = 10 * time.Minute
	// askEvery is how often an issuer is asked at the most, however many tokens of unknown keys come.
	askEvery = 10 * time.Second
	// askTime is how long an issuer has to answer.
	askTime = 3 * time.Second
	// maxAnswer is the most bytes of an answer.
	maxAnswer = 1 << 20
)

// ValidIssuer says why a URL cannot be an OIDC issuer: whoever could change its answers on the way could make tokens.
func ValidIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q must be a URL like https://login.example.com", issuer)
	}
	return safeURL(issuer)
}

// safeURL says why nothing can be fetched from a URL that is to be trusted.
func safeURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !onThisMachine(u.Hostname())) {
		return fmt.Errorf("%q must begin with https://, except on this machine", text)
	}
	return nil
}

func onThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// issuer is an OIDC issuer with the keys that it signs its tokens with. It is asked when a token of it comes, never
// before, so that nothing waits for it at the start.
type issuer struct {
	url    string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
	// asking is held by whoever asks.
	asking chan struct{}

	mu      sync.Mutex
	keys    map[string]jose.JSONWebKey // by kid; nil = it has never answered
	fetched time.Time
	asked   time.Time
}

func newIssuer(url string, now func() time.Time, log *slog.Logger) *issuer {
	return &issuer{
		url: url, now: now, log: log, asking: make(chan struct{}, 1),
		// Whoever answers with a redirect is not who was asked.
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// key answers a key of the issuer, and asks for the keys where that is due.
func (i *issuer) key(ctx context.Context, kid string) (jose.JSONWebKey, error) {
	key, known, due := i.look(kid)
	if !due {
		return key, i.missing(known)
	}
	if known {
		// One caller refreshes; the others go on with what there is.
		select {
		case i.asking <- struct{}{}:
		default:
			return key, nil
		}
	} else {
		select {
		case i.asking <- struct{}{}:
		case <-ctx.Done():
			return key, ctx.Err()
		}
	}
	defer func() { <-i.asking }()
	if key, known, due = i.look(kid); due {
		i.ask(ctx)
		key, known, _ = i.look(kid)
	}
	return key, i.missing(known)
}

// look answers a key, whether it is known, and whether the issuer is to be asked.
func (i *issuer) look(kid string) (key jose.JSONWebKey, known, due bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	key, known = i.keys[kid]
	due = now.Sub(i.asked).Abs() >= askEvery && (!known || now.Sub(i.fetched).Abs() >= keysFor)
	return key, known, due
}

func (i *issuer) missing(known bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case known:
		return nil
	case i.keys == nil:
		return fault.New(fault.IssuerUnreachable, "the token's issuer cannot be asked for its keys; try again later")
	}
	return errUnknownKey
}

// ask fetches the keys. Whoever waits for them may give up meanwhile: others need them, too.
func (i *issuer) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
	defer cancel()
	keys, err := i.fetch(ctx)
	if err != nil {
		i.log.Warn("the keys of an OIDC issuer cannot be fetched", "issuer", i.url, "error", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = i.now()
	if err == nil {
		i.keys, i.fetched = keys, i.asked
	}
}

// fetch asks the issuer where its keys are, then for them.
func (i *issuer) fetch(ctx context.Context) (map[string]jose.JSONWebKey, error) {
	var about struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := i.get(ctx, strings.TrimSuffix(i.url, "/")+"/.well-known/openid-configuration", &about); err != nil {
		return nil, err
	}
	if about.Issuer != i.url {
		return nil, fmt.Errorf("it calls itself %.200q", about.Issuer)
	}
	if err := i.safeKeys(about.JWKSURI); err != nil {
		return nil, fmt.Errorf("its jwks_uri: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := i.get(ctx, about.JWKSURI, &set); err != nil {
		return nil, err
	}
	return usable(set.Keys), nil
}

// safeKeys says why keys must not be fetched from a URL that the issuer names. One of another machine does not send this
// one to the services of its own.
func (i *issuer) safeKeys(url string) error {
	if !strings.HasPrefix(i.url, "http:") && !strings.HasPrefix(url, "https:") {
		return fmt.Errorf("%.200q must begin with https://", url)
	}
	return safeURL(url)
}

// usable are the public keys of a set that sign and have a name. A key of a kind to come is no mistake.
func usable(set []json.RawMessage) map[string]jose.JSONWebKey {
	keys := map[string]jose.JSONWebKey{}
	for _, text := range set {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) == nil && key.KeyID != "" && key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig") {
			keys[key.KeyID] = key
		}
	}
	return keys
}

func (i *issuer) get(ctx context.Context, url string, answer any) error {
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
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(answer); err != nil {
		return errors.New(url + " does not answer the JSON that is expected")
	}
	return nil
}
