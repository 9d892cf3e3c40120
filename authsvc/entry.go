package authsvc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Unattributed is the reserved workspace of calls that proved no key and named no workspace.
const Unattributed = "_unattributed"

// Entry is the request log of one call, or of several that proved no key, as this service knows it. KeyID, KeyName and
// KeyLast4 are a snapshot of the key; zero where none was proved.
type Entry struct {
	// ID is a UUIDv7 of the time of the call.
	ID          uuid.UUID
	WorkspaceID string
	KeyID       uuid.UUID
	KeyName     string
	KeyLast4    string
	AgentType   string
	AgentID     string
	Method      string
	Endpoint    string
	// Status is the HTTP status the caller got; 0 = in progress.
	Status    int
	ErrorCode ErrorCode
	// Latency is the call's, end to end; of a denial, the check's.
	Latency time.Duration
	// Repeated is how many calls the row stands for: 1, or more where they proved no key.
	Repeated int
}

// signer proves that an entry came from a check of this platform, so that a report can be taken on any replica,
// without a look-up, and cannot make up rows, move them or change whose they are.
type signer struct{ macs sync.Pool }

func newSigner(key []byte) *signer {
	return &signer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// sign is the unpadded base64url of the HMAC-SHA256 over everything in the entry that a report must not change. A report
// says nothing of Repeated, which is always 1 there.
func (s *signer) sign(e Entry) string {
	return base64.RawURLEncoding.EncodeToString(s.sum(e))
}

// verify tells whether signature is the entry's, in constant time.
func (s *signer) verify(e Entry, signature string) bool {
	got, err := base64.RawURLEncoding.DecodeString(signature)
	return err == nil && hmac.Equal(got, s.sum(e))
}

func (s *signer) sum(e Entry) []byte {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write(e.ID[:])
	mac.Write(e.KeyID[:])
	for _, field := range []string{
		e.WorkspaceID, e.KeyName, e.KeyLast4, e.AgentType, e.AgentID, e.Method, e.Endpoint, string(e.ErrorCode),
	} {
		// Each length goes first, so that no two entries share one sequence of bytes.
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(field)))
		mac.Write(length[:])
		mac.Write([]byte(field))
	}
	return mac.Sum(nil)
}
