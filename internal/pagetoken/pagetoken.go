// Package pagetoken encodes the opaque tokens of paginated lists (AIP-158), and of streams that can be resumed. A token holds
// where the rest begins and a digest of its query, so that it cannot be used with another one by mistake. It grants nothing:
// the caller must be authorized for the query itself.
package pagetoken

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	version      = 1
	digestLength = 12
	length       = 1 + digestLength + 16
)

// Encode returns the token that continues the query below the id cursor. The parts of the query are everything that selects
// its rows, in a fixed order.
func Encode(cursor uuid.UUID, query ...string) string {
	token := make([]byte, 0, length)
	token = append(token, version)
	token = append(token, digest(query)...)
	token = append(token, cursor[:]...)
	return base64.RawURLEncoding.EncodeToString(token)
}

// Decode returns the cursor of a token that Encode has returned for the same query. For anything else it returns an Invalid
// fault of the field page_token.
func Decode(token string, query ...string) (uuid.UUID, error) {
	return decode("page_token", token, query)
}

// DecodeResume is Decode for the field resume_token, of a stream.
func DecodeResume(token string, query ...string) (uuid.UUID, error) {
	return decode("resume_token", token, query)
}

func decode(field, token string, query []string) (uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != length || raw[0] != version {
		return uuid.Nil, fault.InvalidField(field, "not a token of this service")
	}
	if string(raw[1:1+digestLength]) != string(digest(query)) {
		return uuid.Nil, fault.InvalidField(field, "belongs to another workspace or other filters; start again without it")
	}
	return uuid.UUID(raw[1+digestLength:]), nil
}

func digest(query []string) []byte {
	hash := sha256.New()
	for _, part := range query {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		hash.Write(size[:])
		hash.Write([]byte(part))
	}
	return hash.Sum(nil)[:digestLength]
}
