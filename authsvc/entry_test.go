package authsvc

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
)

func signedEntry() Entry {
	return Entry{
		ID: uuid7.New(noon), WorkspaceID: "acme", KeyID: uuid7.New(noon), KeyName: "name", KeyLast4: "abcd",
		AgentType: "agent", AgentID: "a1", Method: "GET", Endpoint: "/v1", ErrorCode: "",
	}
}

func TestSignatureHoldsEveryFieldThatAReportMustNotChange(t *testing.T) {
	s, entry := newSigner([]byte("a key of the platform")), signedEntry()
	signature := s.sign(entry)
	free := map[string]bool{"Status": true, "Latency": true, "Repeated": true}
	for field := range reflect.TypeFor[Entry]().Fields() {
		altered := entry
		alter(reflect.ValueOf(&altered).Elem().FieldByIndex(field.Index))
		if got := s.verify(altered, signature); got != free[field.Name] {
			t.Errorf("another %s: verify answers %v, want %v", field.Name, got, free[field.Name])
		}
	}
}

// alter gives a field of an entry another value.
func alter(v reflect.Value) {
	switch v.Interface().(type) {
	case uuid.UUID:
		v.Set(reflect.ValueOf(uuid.New()))
	case string, ErrorCode:
		v.SetString(v.String() + "x")
	case int:
		v.SetInt(200)
	case time.Duration:
		v.SetInt(int64(time.Second))
	default:
		panic("a new kind of field: " + v.Type().String())
	}
}

func TestSignatureKeepsFieldsApart(t *testing.T) {
	s, entry := newSigner([]byte("key")), signedEntry()
	moved := entry
	moved.AgentID, moved.Method = "a1G", "ET"
	if s.verify(moved, s.sign(entry)) {
		t.Error("a character may wander from one field to the next")
	}
}

func TestSignatureIsOfOneKeyAndOneForm(t *testing.T) {
	s, entry := newSigner([]byte("key")), signedEntry()
	signature := s.sign(entry)
	if len(signature) != 43 {
		t.Errorf("a signature of %d characters; the contract takes 64, SHA-256 needs 43", len(signature))
	}
	for name, forged := range map[string]string{
		"of another key": newSigner([]byte("yek")).sign(entry), "none": "", "cut short": signature[:42],
		"padded": signature + "=", "not base64": signature[:42] + "!", "zeros": string(make([]byte, 43)),
	} {
		if s.verify(entry, forged) {
			t.Errorf("a signature that is %s verifies", name)
		}
	}
	if !s.verify(entry, signature) || !newSigner([]byte("key")).verify(entry, signature) {
		t.Error("the signature does not verify, here or on another replica with the same key")
	}
}

func TestSignaturesCanBeMadeAtOnce(t *testing.T) {
	s := newSigner([]byte("key"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				entry := signedEntry()
				if !s.verify(entry, s.sign(entry)) {
					t.Error("a signature made beside others does not verify")
				}
			}
		})
	}
	wg.Wait()
}
