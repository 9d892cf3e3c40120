package authsvc

import (
	"cmp"
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
	lru "github.com/hashicorp/golang-lru/v2"

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
	// maxPayload is the most bytes of the encrypted row.
	maxPayload = maxReportToken/4*3 - headerLength - 16

	// reportTokenLife is how long a token can be reported, from the time of the call: a call may take 24 hours.
	reportTokenLife = 25 * time.Hour
)

// tokenPayload is what a report token contains.
type tokenPayload struct {
	// entry is the row of the check; its texts may be cut.
	entry Entry
	// workspaceID is the workspace that the check named: a report needs access to it. Empty means the row's workspace.
	workspaceID string
}

// reportTokens encrypts and decrypts report tokens. It is safe for concurrent use.
type reportTokens struct {
	key     []byte // of the store, 32 bytes
	salt    [saltLength]byte
	own     cipher.AEAD
	others  *lru.Cache[[saltLength]byte, cipher.AEAD]
	counter atomic.Uint64
	buffers sync.Pool
}

// maxCiphers bounds how many ciphers of other processes are cached: of replicas, and of processes before a restart.
const maxCiphers = 256

func newReportTokens(key []byte) (*reportTokens, error) {
	t := &reportTokens{key: key}
	t.buffers.New = func() any { return new(tokenBuffer) }
	rand.Read(t.salt[:])
	var err error
	if t.own, err = t.derive(t.salt); err != nil {
		return nil, err
	}
	t.others, err = lru.New[[saltLength]byte, cipher.AEAD](maxCiphers)
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

// tokenBuffer is the scratch space of one encryption, which then allocates the token alone.
type tokenBuffer struct {
	nonce [12]byte
	raw   [maxReportToken / 4 * 3]byte
	text  [maxReportToken]byte
}

func (t *reportTokens) encrypt(payload tokenPayload) string {
	payload.cut()
	b := t.buffers.Get().(*tokenBuffer)
	defer t.buffers.Put(b)
	header := append(append(b.raw[:0], tokenVersion), t.salt[:]...)
	header = binary.BigEndian.AppendUint64(header, t.counter.Add(1))
	b.nonce = nonceOf(header)
	row := appendPayload(b.raw[headerLength:headerLength], &payload)
	encrypted := t.own.Seal(row[:0], b.nonce[:], row, header)
	return string(base64.RawURLEncoding.AppendEncode(b.text[:0], b.raw[:headerLength+len(encrypted)]))
}

// errInvalidToken means that this platform has not made the token, or that it was altered.
var errInvalidToken = errors.New("not a report token of this platform")

func (t *reportTokens) decrypt(token string) (tokenPayload, error) {
	if len(token) > maxReportToken {
		return tokenPayload{}, errInvalidToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < headerLength || raw[0] != tokenVersion {
		return tokenPayload{}, errInvalidToken
	}
	salt := [saltLength]byte(raw[1:])
	aead, known := t.own, salt == t.salt
	if !known {
		aead, known = t.others.Get(salt)
	}
	if !known {
		if aead, err = t.derive(salt); err != nil {
			return tokenPayload{}, err
		}
	}
	header := raw[:headerLength]
	nonce := nonceOf(header)
	row, err := aead.Open(nil, nonce[:], raw[headerLength:], header)
	if err != nil {
		return tokenPayload{}, errInvalidToken
	}
	if !known { // only now, so that forged salts evict nothing
		t.others.Add(salt, aead)
	}
	return parsePayload(row)
}

// nonceOf returns the counter of a header after 4 zero bytes.
func nonceOf(header []byte) (nonce [12]byte) {
	copy(nonce[4:], header[1+saltLength:])
	return nonce
}

// cut shortens texts to fit into a token, the endpoint first. The row of the check has the whole texts.
func (c *tokenPayload) cut() {
	over := payloadSize(c) - maxPayload
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

// cutText returns at most size bytes of a text, without splitting a character.
func cutText(text string, size int) string {
	if size <= 0 {
		return ""
	}
	for size < len(text) && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// texts are the texts of the payload, in the order in which they are encoded after the two ids.
func (c *tokenPayload) texts() [11]*string {
	e := &c.entry
	return [...]*string{
		&e.WorkspaceID, &c.workspaceID, &e.KeyName, &e.KeyLast4, &e.ExternalID, &e.AgentType, &e.AgentID, &e.Method, &e.Endpoint,
		(*string)(&e.ErrorCode), (*string)(&e.Cause),
	}
}

// payloadSize returns how many bytes appendPayload appends.
func payloadSize(c *tokenPayload) int {
	size := 2 * len(uuid.UUID{})
	for _, text := range c.texts() {
		size += 2 + len(*text)
	}
	return size
}

// appendPayload appends the two ids, and each text after its length in 2 bytes.
func appendPayload(buf []byte, c *tokenPayload) []byte {
	buf = append(append(buf, c.entry.ID[:]...), c.entry.KeyID[:]...)
	for _, text := range c.texts() {
		buf = append(binary.BigEndian.AppendUint16(buf, uint16(len(*text))), *text...)
	}
	return buf
}

// parsePayload decodes what appendPayload encoded. The bytes are authentic, so anything else is of another version.
func parsePayload(row []byte) (tokenPayload, error) {
	var c tokenPayload
	if len(row) < 32 {
		return c, errInvalidToken
	}
	c.entry.ID, c.entry.KeyID = uuid.UUID(row[:16]), uuid.UUID(row[16:32])
	row = row[32:]
	for _, text := range c.texts() {
		if len(row) < 2 || len(row)-2 < int(binary.BigEndian.Uint16(row)) {
			return c, errInvalidToken
		}
		end := 2 + int(binary.BigEndian.Uint16(row))
		*text, row = string(row[2:end]), row[end:]
	}
	return c, nil
}

// expired reports whether the call is too old to be reported.
func (c *tokenPayload) expired(now time.Time) bool {
	return now.Sub(uuid7.Time(c.entry.ID)) > reportTokenLife
}

// workspace returns the workspace to which a report needs access.
func (c *tokenPayload) workspace() string {
	return cmp.Or(c.workspaceID, c.entry.WorkspaceID)
}
