package authsvc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// A report token is the row of a call, encrypted and authenticated, so that a report needs no look-up on any replica and
// cannot change what the check recorded. In unpadded base64url it is
//
//	version (1 byte) | salt (16) | counter (8) | AES-256-GCM of the row, with its tag (16)
//
// Random nonces are safe for 2^32 messages of one key (NIST SP 800-38D, 8.3), which a busy platform checks in days. So
// every process derives a key of its own from the store's key and a random salt (HKDF-SHA256, RFC 5869), and counts: no
// nonce is ever used twice with one key.
const (
	tokenVersion = 1
	saltLength   = 16
	headerLength = 1 + saltLength + 8

	// maxReportToken is the most characters of a token, 768 bytes.
	maxReportToken = 1024
	// maxSealedRow is the room that a token has for the row.
	maxSealedRow = maxReportToken/4*3 - headerLength - 16

	// reportTokenLife is how long a token can be reported, from the time of the call: a call may take 24 hours.
	reportTokenLife = 25 * time.Hour
)

// sealedCall is what a report token holds.
type sealedCall struct {
	// entry is the row of the check; its texts may be cut.
	entry Entry
	// workspaceID is the one that the check named: who may check for it may report. Empty = the row's own.
	workspaceID string
}

// reportTokens makes and opens report tokens. It is safe for concurrent use.
type reportTokens struct {
	key     []byte // of the store, 32 bytes
	salt    [saltLength]byte
	own     cipher.AEAD
	counter atomic.Uint64
	buffers sync.Pool

	mu     sync.Mutex
	opened map[[saltLength]byte]cipher.AEAD
}

// maxOpened bounds how many keys of other processes are remembered: replicas, and those before their last restarts.
const maxOpened = 256

func newReportTokens(key []byte) (*reportTokens, error) {
	t := &reportTokens{key: key, opened: map[[saltLength]byte]cipher.AEAD{}}
	t.buffers.New = func() any { return new(sealBuffer) }
	rand.Read(t.salt[:])
	var err error
	t.own, err = t.derive(t.salt)
	return t, err
}

func (t *reportTokens) derive(salt [saltLength]byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, t.key, salt[:], "keytrail report token", 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key for report tokens: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make a cipher for report tokens: %w", err)
	}
	return cipher.NewGCM(block)
}

// sealBuffer is what sealing one token needs, so that it allocates the token alone.
type sealBuffer struct {
	nonce [12]byte
	raw   [maxReportToken / 4 * 3]byte
	text  [maxReportToken]byte
}

// seal makes a token.
func (t *reportTokens) seal(call sealedCall) string {
	call.cut()
	b := t.buffers.Get().(*sealBuffer)
	defer t.buffers.Put(b)
	header := append(append(b.raw[:0], tokenVersion), t.salt[:]...)
	header = binary.BigEndian.AppendUint64(header, t.counter.Add(1))
	b.nonce = nonceOf(header)
	row := appendCall(b.raw[headerLength:headerLength], &call)
	sealed := t.own.Seal(row[:0], b.nonce[:], row, header)
	return string(base64.RawURLEncoding.AppendEncode(b.text[:0], b.raw[:headerLength+len(sealed)]))
}

// errForged is of a token that this platform has not made, or that was damaged.
var errForged = errors.New("not a report token of this platform")

// open reads a token.
func (t *reportTokens) open(token string) (sealedCall, error) {
	if len(token) > maxReportToken {
		return sealedCall{}, errForged
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < headerLength || raw[0] != tokenVersion {
		return sealedCall{}, errForged
	}
	salt := [saltLength]byte(raw[1:])
	aead, known := t.remembered(salt)
	if !known {
		if aead, err = t.derive(salt); err != nil {
			return sealedCall{}, err
		}
	}
	header := raw[:headerLength]
	nonce := nonceOf(header)
	row, err := aead.Open(nil, nonce[:], raw[headerLength:], header)
	if err != nil {
		return sealedCall{}, errForged
	}
	if !known {
		t.remember(salt, aead)
	}
	return parseCall(row)
}

// nonceOf is the counter of a header, with 4 zero bytes before it.
func nonceOf(header []byte) (nonce [12]byte) {
	copy(nonce[4:], header[1+saltLength:])
	return nonce
}

// remembered returns the cipher of a process whose tokens were opened before, or of this one.
func (t *reportTokens) remembered(salt [saltLength]byte) (cipher.AEAD, bool) {
	if salt == t.salt {
		return t.own, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	aead, known := t.opened[salt]
	return aead, known
}

// remember keeps the cipher of a process. Only one that has opened a token is kept, so that made-up salts drive no others
// out.
func (t *reportTokens) remember(salt [saltLength]byte, aead cipher.AEAD) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.opened) >= maxOpened {
		clear(t.opened)
	}
	t.opened[salt] = aead
}

// cut shortens texts where the row has no room in a token, the endpoint first. The check's own record keeps them whole.
func (c *sealedCall) cut() {
	over := sealedSize(c) - maxSealedRow
	if over <= 0 {
		return
	}
	e := &c.entry
	for _, text := range []*string{&e.Endpoint, &e.AgentID, &e.ExternalID, &e.KeyName} {
		if over > 0 {
			before := len(*text)
			*text = cutText(*text, before-over)
			over -= before - len(*text)
		}
	}
}

// cutText returns the first bytes of a text, without splitting a character.
func cutText(text string, size int) string {
	if size <= 0 {
		return ""
	}
	for size < len(text) && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// values are the texts of a sealed row behind its two ids, in their order.
func (c *sealedCall) values() [11]string {
	e := &c.entry
	return [...]string{
		e.WorkspaceID, c.workspaceID, e.KeyName, e.KeyLast4, e.ExternalID, e.AgentType, e.AgentID, e.Method, e.Endpoint,
		string(e.ErrorCode), string(e.Cause),
	}
}

// fields are where values are read to.
func (c *sealedCall) fields() [11]*string {
	e := &c.entry
	return [...]*string{
		&e.WorkspaceID, &c.workspaceID, &e.KeyName, &e.KeyLast4, &e.ExternalID, &e.AgentType, &e.AgentID, &e.Method, &e.Endpoint,
		(*string)(&e.ErrorCode), (*string)(&e.Cause),
	}
}

// sealedSize is how many bytes appendCall writes.
func sealedSize(c *sealedCall) int {
	size := 2 * len(uuid.UUID{})
	for _, text := range c.values() {
		size += 2 + len(text)
	}
	return size
}

// appendCall writes the two ids, and each text with its length in 2 bytes.
func appendCall(buf []byte, c *sealedCall) []byte {
	buf = append(append(buf, c.entry.ID[:]...), c.entry.KeyID[:]...)
	for _, text := range c.values() {
		buf = append(binary.BigEndian.AppendUint16(buf, uint16(len(text))), text...)
	}
	return buf
}

// parseCall reads what appendCall wrote. The row is authentic, so anything else was written by another version.
func parseCall(row []byte) (sealedCall, error) {
	var c sealedCall
	if len(row) < 32 {
		return c, errForged
	}
	c.entry.ID, c.entry.KeyID = uuid.UUID(row[:16]), uuid.UUID(row[16:32])
	row = row[32:]
	for _, text := range c.fields() {
		if len(row) < 2 || len(row)-2 < int(binary.BigEndian.Uint16(row)) {
			return c, errForged
		}
		end := 2 + int(binary.BigEndian.Uint16(row))
		*text, row = string(row[2:end]), row[end:]
	}
	return c, nil
}

// expired reports whether the call is too old to be reported.
func (c *sealedCall) expired(now time.Time) bool {
	return now.Sub(uuid7.Time(c.entry.ID)) > reportTokenLife
}

// workspace is the one that a reporter must be allowed.
func (c *sealedCall) workspace() string {
	if c.workspaceID != "" {
		return c.workspaceID
	}
	return c.entry.WorkspaceID
}
