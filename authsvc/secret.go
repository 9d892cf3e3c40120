package authsvc

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/keytrail/keytrail/internal/hidden"
)

// A secret is "sk_", 6 characters of checksum and 32 random base62 characters (190 bits). The checksum is the
// CRC-32 (IEEE) of the random characters in base62, as in GitHub's tokens
// (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/): it lets secret scanners and
// redactSecrets recognize a secret. A check does not verify it: see Checker.prove.
const (
	secretPrefix   = "sk_"
	checksumLength = 6
	randomLength   = 32
	secretLength   = len(secretPrefix) + checksumLength + randomLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Digest is the SHA-256 of a secret's text. It and Last4 are all that is stored of a secret.
type Digest [sha256.Size]byte

// redactSecrets replaces every secret in a text by "sk_…", so that a secret in the path of a call, for example, does not
// reach the request logs. It recognizes secrets by their checksum.
func redactSecrets(text string) string {
	if !strings.Contains(text, secretPrefix) {
		return text
	}
	var kept strings.Builder
	for {
		before, after, found := strings.Cut(text, secretPrefix)
		kept.WriteString(before)
		if !found {
			return kept.String()
		}
		kept.WriteString(secretPrefix)
		if text = after; hasSecretPrefix(text) {
			kept.WriteString("…")
			text = text[checksumLength+randomLength:]
		}
	}
}

// hasSecretPrefix reports whether a text begins with the checksum and the random characters of a secret.
func hasSecretPrefix(text string) bool {
	if len(text) < checksumLength+randomLength {
		return false
	}
	random := text[checksumLength:][:randomLength]
	return text[:checksumLength] == checksum(random) && strings.Trim(random, base62) == ""
}

// digestOf returns the digest of what a caller sent. It cuts longer texts one byte after the length of a secret: they are
// no secret either way, and so every text is one block of SHA-256.
func digestOf(text string) Digest {
	var room [secretLength + 1]byte
	return sha256.Sum256(room[:copy(room[:], text)])
}

// PlainSecret is a secret's text. It formats as its last 4 characters, and in an unexported field not even as those, so
// that it cannot reach a log by mistake. Reveal returns the text.
type PlainSecret struct{ text hidden.Text }

// NewSecret generates a secret with crypto/rand.
func NewSecret() PlainSecret {
	random := make([]byte, 0, randomLength)
	var buf [64]byte
	for len(random) < randomLength {
		rand.Read(buf[:])
		for _, b := range buf {
			// 248 = 4 x 62: higher values would make some characters more likely than others.
			if b < 248 && len(random) < randomLength {
				random = append(random, base62[b%62])
			}
		}
	}
	return PlainSecret{text: hidden.Hide(secretPrefix + checksum(string(random)) + string(random))}
}

// checksum returns the CRC-32 of the random characters, in base62 with leading zeros.
func checksum(random string) string {
	sum := crc32.ChecksumIEEE([]byte(random))
	var digits [checksumLength]byte
	for i := range digits {
		digits[checksumLength-1-i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// Reveal returns the text, for the one response that shows it.
func (s PlainSecret) Reveal() string { return s.text.Reveal() }

// Digest returns the digest that is stored.
func (s PlainSecret) Digest() Digest { return digestOf(s.Reveal()) }

// Last4 returns the last 4 characters.
func (s PlainSecret) Last4() string {
	text := s.Reveal()
	return text[max(0, len(text)-4):]
}

// String returns the prefix and the last 4 characters.
func (s PlainSecret) String() string { return secretPrefix + "…" + s.Last4() }

// Format writes what String returns, whatever the verb.
func (s PlainSecret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// stored returns what is stored of a new secret.
func (s PlainSecret) stored(now time.Time) Secret {
	return Secret{Digest: s.Digest(), Last4: s.Last4(), CreateTime: now}
}
