package authsvc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/keytrail/keytrail/internal/hidden"
)

// A secret is "sk_", 6 characters of checksum and 32 random base62 characters (190 bits). The checksum is the
// CRC-32 (IEEE) of the random characters in base62, as in GitHub's tokens
// (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/): it lets secret scanners tell a
// leaked secret from noise, and hideSecrets likewise. A check does not look at it: see Checker.prove.
const (
	secretPrefix   = "sk_"
	checksumLength = 6
	randomLength   = 32
	secretLength   = len(secretPrefix) + checksumLength + randomLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Digest is the SHA-256 of a secret's text: all that is ever stored of it.
type Digest [sha256.Size]byte

// Equal compares in constant time.
func (d Digest) Equal(other Digest) bool { return subtle.ConstantTimeCompare(d[:], other[:]) == 1 }

// hideSecrets makes "sk_…" of every secret in a text, so that one in the path of a call, or wherever else it has no
// business, does not end up in the request logs. What has the checksum of a secret is one.
func hideSecrets(text string) string {
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
		if text = after; beginsLikeSecret(text) {
			kept.WriteString("…")
			text = text[checksumLength+randomLength:]
		}
	}
}

// beginsLikeSecret tells whether a checksum and what it is of come first.
func beginsLikeSecret(text string) bool {
	if len(text) < checksumLength+randomLength {
		return false
	}
	random := text[checksumLength:][:randomLength]
	return text[:checksumLength] == checksum(random) && strings.Trim(random, base62) == ""
}

// digestOf makes the digest of what a caller sent. What is longer than a secret is cut one byte behind a secret's length:
// it is no secret with or without the rest, and so every text is one block of SHA-256, however long it came.
func digestOf(text string) Digest {
	var room [secretLength + 1]byte
	return sha256.Sum256(room[:copy(room[:], text)])
}

// PlainSecret is a secret's text. It formats as its last 4 characters, and in an unexported field not even as those, so
// that it cannot reach a log by mistake; Reveal gives the text.
type PlainSecret struct{ text hidden.Text }

// NewSecret makes a secret from crypto/rand.
func NewSecret() PlainSecret {
	random := make([]byte, 0, randomLength)
	var buf [64]byte
	for len(random) < randomLength {
		rand.Read(buf[:])
		for _, b := range buf {
			// 248 = 4 x 62: what is above would make some characters likelier than others.
			if b < 248 && len(random) < randomLength {
				random = append(random, base62[b%62])
			}
		}
	}
	return PlainSecret{text: hidden.Hide(secretPrefix + checksum(string(random)) + string(random))}
}

// checksum is the CRC-32 of the random characters, in base62 with leading zeros.
func checksum(random string) string {
	sum := crc32.ChecksumIEEE([]byte(random))
	var digits [checksumLength]byte
	for i := range digits {
		digits[checksumLength-1-i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// Reveal gives the text, for the one answer that shows it.
func (s PlainSecret) Reveal() string { return s.text.Reveal() }

// Digest gives what is stored.
func (s PlainSecret) Digest() Digest { return digestOf(s.Reveal()) }

// Last4 gives the last 4 characters.
func (s PlainSecret) Last4() string {
	text := s.Reveal()
	return text[max(0, len(text)-4):]
}

// String hides the text.
func (s PlainSecret) String() string { return secretPrefix + "…" + s.Last4() }

// Format hides the text under every verb.
func (s PlainSecret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// stored is the record of a new secret.
func (s PlainSecret) stored(now time.Time) Secret {
	return Secret{Digest: s.Digest(), Last4: s.Last4(), CreateTime: now}
}
