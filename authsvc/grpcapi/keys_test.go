package grpcapi_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestMalformedKeysNameTheField(t *testing.T) {
	f := newFixture(t)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	past := timestamppb.New(f.now.Add(-time.Second))
	for name, tt := range map[string]struct {
		field  string
		change func(*authv1.CreateKeyRequest)
	}{
		"an unknown scope":      {"key.scopes[1]", func(r *authv1.CreateKeyRequest) { r.Key.Scopes = []string{"agent", "robot"} }},
		"a scope twice":         {"key.scopes", func(r *authv1.CreateKeyRequest) { r.Key.Scopes = []string{"agent", "agent"} }},
		"no scope":              {"key.scopes", func(r *authv1.CreateKeyRequest) { r.Key.Scopes = nil }},
		"no name":               {"key.name", func(r *authv1.CreateKeyRequest) { r.Key.Name = "" }},
		"a blank name":          {"key.name", func(r *authv1.CreateKeyRequest) { r.Key.Name = "  " }},
		"a long name":           {"key.name", func(r *authv1.CreateKeyRequest) { r.Key.Name = strings.Repeat("é", 101) }},
		"a name with a newline": {"key.name", func(r *authv1.CreateKeyRequest) { r.Key.Name = "a\nb" }},
		"a name with a C1":      {"key.name", func(r *authv1.CreateKeyRequest) { r.Key.Name = "a\u009bb" }},
		"a name turned around":  {"key.name", func(r *authv1.CreateKeyRequest) { r.Key.Name = "a\u202eb" }},
		"an agent turned round": {"key.agent_ids[0]", func(r *authv1.CreateKeyRequest) { r.Key.AllAgents, r.Key.AgentIds = false, []string{"a\u202eb"} }},
		"no agents":             {"key.agent_ids", func(r *authv1.CreateKeyRequest) { r.Key.AllAgents = false }},
		"all agents and some":   {"key.agent_ids", func(r *authv1.CreateKeyRequest) { r.Key.AgentIds = []string{"a"} }},
		"a long description":    {"key.description", func(r *authv1.CreateKeyRequest) { r.Key.Description = strings.Repeat("a", 501) }},
		"a long external id":    {"key.external_id", func(r *authv1.CreateKeyRequest) { r.Key.ExternalId = strings.Repeat("a", 256) }},
		"too much metadata":     {"key.metadata", func(r *authv1.CreateKeyRequest) { r.Key.Metadata = map[string]string{"a": strings.Repeat("a", 4096)} }},
		"no key":                {"key", func(r *authv1.CreateKeyRequest) { r.Key = nil }},
		"a bad request id":      {"request_id", func(r *authv1.CreateKeyRequest) { r.RequestId = "1" }},
		"no workspace":          {"workspace_id", func(r *authv1.CreateKeyRequest) { r.WorkspaceId = "" }},
		"the reserved one":      {"workspace_id", func(r *authv1.CreateKeyRequest) { r.WorkspaceId = "_unattributed" }},
		"an expiry in the past": {"key.expire_time", func(r *authv1.CreateKeyRequest) { r.Key.ExpireTime = past }},
		"an expiry in year 0":   {"key.expire_time", func(r *authv1.CreateKeyRequest) { r.Key.ExpireTime = &timestamppb.Timestamp{Seconds: -1e12} }},
		"the zero time":         {"key.expire_time", func(r *authv1.CreateKeyRequest) { r.Key.ExpireTime = timestamppb.New(time.Time{}) }},
	} {
		t.Run(name, func(t *testing.T) {
			request := &authv1.CreateKeyRequest{WorkspaceId: "acme", Key: &authv1.Key{Name: "n", Scopes: []string{"agent"}, AllAgents: true}}
			tt.change(request)
			_, err := keys.CreateKey(t.Context(), request)
			expectBad(t, err, tt.field)
		})
	}
}

func TestRotationWithoutAGracePeriodTakesADay(t *testing.T) {
	f := newFixture(t)
	key, _ := f.create(t, nil)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	for _, tt := range []struct {
		grace *durationpb.Duration
		want  time.Duration
	}{{nil, 24 * time.Hour}, {durationpb.New(time.Minute), time.Minute}, {durationpb.New(0), 0}} {
		response, err := keys.RotateKey(t.Context(), &authv1.RotateKeyRequest{
			WorkspaceId: "acme", KeyId: key.ID.String(), GracePeriod: tt.grace,
		})
		must(t, err)
		if end := response.GetKey().GetSecrets()[1].GetExpireTime().AsTime(); !end.Equal(f.now.Add(tt.want)) {
			t.Errorf("grace %v: the earlier secret ends %v", tt.grace, end)
		}
		if !strings.HasSuffix(response.GetSecret(), response.GetKey().GetLast4()) {
			t.Errorf("the secret %q of the key %v", response.GetSecret(), response.GetKey())
		}
	}
	for _, grace := range []time.Duration{-time.Second, 31 * 24 * time.Hour} {
		_, err := keys.RotateKey(t.Context(), &authv1.RotateKeyRequest{
			WorkspaceId: "acme", KeyId: key.ID.String(), GracePeriod: durationpb.New(grace),
		})
		expectBad(t, err, "grace_period")
	}
}

func TestPagesHoldEveryKeyOnceAndTokensBelongToAWorkspace(t *testing.T) {
	f := newFixture(t)
	var want, got []string
	for range 5 {
		f.advance(time.Millisecond)
		key, _ := f.create(t, nil)
		want = append([]string{key.ID.String()}, want...)
	}
	keys := authv1.NewKeyServiceClient(f.dial(t))
	request := &authv1.ListKeysRequest{WorkspaceId: "acme", PageSize: 2}
	for pages := 1; ; pages++ {
		page, err := keys.ListKeys(t.Context(), request)
		must(t, err)
		for _, key := range page.GetKeys() {
			got = append(got, key.GetId())
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			if pages != 3 {
				t.Errorf("5 keys are on %d pages of 2", pages)
			}
			break
		}
		_, err = keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "globex", PageToken: request.PageToken})
		expectBad(t, err, "page_token")
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages hold %v, want %v", got, want)
	}
	_, err := keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme", PageSize: -1})
	expectBad(t, err, "page_size")
	page, err := keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme", PageSize: 1e9})
	if must(t, err); len(page.GetKeys()) != 5 {
		t.Errorf("a page of a size above the most has %d keys", len(page.GetKeys()))
	}
	first, err := keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme", PageSize: 1})
	must(t, err)
	for _, other := range []*authv1.ListKeysRequest{{Query: "prod"}, {ExternalId: "e"}, {State: "enabled"}} {
		other.WorkspaceId, other.PageToken = "acme", first.GetNextPageToken()
		_, err := keys.ListKeys(t.Context(), other)
		expectBad(t, err, "page_token")
	}
}

func TestPagesOfLargeKeysEndEarly(t *testing.T) {
	f := newFixture(t)
	const count = 7
	for range count {
		f.advance(time.Millisecond)
		f.create(t, func(k *authsvc.Key) {
			k.AllAgents = false
			for i := range 1000 {
				k.AgentIDs = append(k.AgentIDs, fmt.Sprintf("%04d", i)+strings.Repeat("a", 500))
			}
		})
	}
	keys := authv1.NewKeyServiceClient(f.dial(t))
	seen, request := map[string]bool{}, &authv1.ListKeysRequest{WorkspaceId: "acme", PageSize: 1000}
	for more := true; more; more = request.PageToken != "" {
		page, err := keys.ListKeys(t.Context(), request)
		must(t, err)
		if size := proto.Size(page); size > 5<<18 || len(page.GetKeys()) == 0 {
			t.Fatalf("a page of %d keys takes %d bytes", len(page.GetKeys()), size)
		}
		for _, key := range page.GetKeys() {
			seen[key.GetId()] = true
		}
		request.PageToken = page.GetNextPageToken()
	}
	if len(seen) != count {
		t.Errorf("the pages hold %d keys, want %d", len(seen), count)
	}
}

func TestPageOfKeysDoesNotReadThoseThatItCannotHold(t *testing.T) {
	f := newFixture(t)
	const count = 100 // 25 MB together; a page holds 1 MiB
	for i := range count {
		f.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, longAllowlist(i) })
	}
	keys := authv1.NewKeyServiceClient(f.dial(t))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	page, err := keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme", PageSize: 1000})
	runtime.ReadMemStats(&after)
	must(t, err)
	if len(page.GetKeys()) == 0 || page.GetNextPageToken() == "" {
		t.Errorf("a page of %d keys, and the token %q of the next", len(page.GetKeys()), page.GetNextPageToken())
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 20<<20 {
		t.Errorf("a page of %d of %d keys allocates %d bytes", len(page.GetKeys()), count, allocated)
	}
}

func TestListedKeyIsTheOneThatGetReturns(t *testing.T) {
	f := newFixture(t)
	key, _ := f.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{"a1", "a2"} })
	_, _, err := f.keys.Rotate(t.Context(), "acme", key.ID, time.Hour, uuid.Nil)
	must(t, err)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	page, err := keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"})
	must(t, err)
	got, err := keys.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "acme", KeyId: key.ID.String()})
	must(t, err)
	if !proto.Equal(page.GetKeys()[0], got.GetKey()) {
		t.Errorf("ListKeys returns %v, and GetKey %v", page.GetKeys()[0], got.GetKey())
	}
}

// longAllowlist returns 1,000 agents of 255 characters.
func longAllowlist(seed int) []string {
	ids := make([]string, authsvc.MaxAgents)
	for i := range ids {
		ids[i] = fmt.Sprintf("%0255d", seed*authsvc.MaxAgents+i)
	}
	return ids
}

func TestKeyOfAnotherWorkspaceIsNotFoundOverGRPC(t *testing.T) {
	f := newFixture(t)
	key, _ := f.create(t, nil)
	keys, id := authv1.NewKeyServiceClient(f.dial(t)), key.ID.String()
	_, err := keys.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "globex", KeyId: id})
	expectStatus(t, err, codes.NotFound)
	_, err = keys.UpdateKey(t.Context(), &authv1.UpdateKeyRequest{
		WorkspaceId: "globex", KeyId: id, Key: &authv1.Key{Name: "x"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}},
	})
	expectStatus(t, err, codes.NotFound)
	_, err = keys.RotateKey(t.Context(), &authv1.RotateKeyRequest{WorkspaceId: "globex", KeyId: id})
	expectStatus(t, err, codes.NotFound)
	_, err = keys.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "globex", KeyId: id})
	expectStatus(t, err, codes.NotFound)
	_, err = keys.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: "not an id"})
	expectBad(t, err, "key_id")
}

func TestRotationOfAKeyFullOfLivingSecretsIsAFailedPrecondition(t *testing.T) {
	f := newFixture(t)
	key, _ := f.create(t, nil)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	request := &authv1.RotateKeyRequest{WorkspaceId: "acme", KeyId: key.ID.String()}
	for range authsvc.MaxSecrets - 1 {
		_, err := keys.RotateKey(t.Context(), request)
		must(t, err)
	}
	_, err := keys.RotateKey(t.Context(), request)
	expectStatus(t, err, codes.FailedPrecondition)
}

func TestListedKeysAreThoseThatTheFiltersSelect(t *testing.T) {
	f := newFixture(t)
	prod, _ := f.create(t, func(k *authsvc.Key) { k.Name, k.ExternalID = "Production", "customer 7" })
	test, secret := f.create(t, func(k *authsvc.Key) { k.Name, k.Disabled = "Test", true })
	old, _ := f.create(t, func(k *authsvc.Key) { k.Name, k.ExpireTime = "Old", f.now.Add(time.Second) })
	f.advance(time.Second)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	for name, tt := range map[string]struct {
		request *authv1.ListKeysRequest
		want    authsvc.Key
	}{
		"a part of the name": {&authv1.ListKeysRequest{Query: "DUCT"}, prod},
		"the last 4":         {&authv1.ListKeysRequest{Query: strings.ToUpper(secret.Last4())}, test},
		"the owner":          {&authv1.ListKeysRequest{ExternalId: "customer 7"}, prod},
		"disabled":           {&authv1.ListKeysRequest{State: "disabled"}, test},
		"expired":            {&authv1.ListKeysRequest{State: "expired"}, old},
		"enabled":            {&authv1.ListKeysRequest{State: "enabled"}, prod},
	} {
		tt.request.WorkspaceId = "acme"
		page, err := keys.ListKeys(t.Context(), tt.request)
		must(t, err)
		if len(page.GetKeys()) != 1 || page.GetKeys()[0].GetId() != tt.want.ID.String() {
			t.Errorf("%s selects %v, want %v", name, page.GetKeys(), tt.want.Name)
		}
	}
	_, err := keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme", State: "asleep"})
	expectBad(t, err, "state")
}

func TestRepeatedRequestMakesNoSecondKeyAndNoSecondSecret(t *testing.T) {
	f := newFixture(t)
	keys := authv1.NewKeyServiceClient(f.dial(t))
	create := &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Key: &authv1.Key{Name: "n", Scopes: []string{"agent"}, AllAgents: true}, RequestId: uuid.NewString(),
	}
	made, err := keys.CreateKey(t.Context(), create)
	must(t, err)
	rotate := &authv1.RotateKeyRequest{WorkspaceId: "acme", KeyId: made.GetKey().GetId(), RequestId: uuid.NewString()}
	_, err = keys.RotateKey(t.Context(), rotate)
	must(t, err)
	for range 2 {
		_, err := keys.CreateKey(t.Context(), create)
		if info := expectReason(t, err, codes.AlreadyExists, fault.RequestIDUsed); info.GetMetadata()["key_id"] != made.GetKey().GetId() {
			t.Errorf("the error names %v, want the key %s", info, made.GetKey().GetId())
		}
		_, err = keys.RotateKey(t.Context(), rotate)
		expectReason(t, err, codes.AlreadyExists, fault.RequestIDUsed)
	}
	page, err := keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"})
	must(t, err)
	if len(page.GetKeys()) != 1 || len(page.GetKeys()[0].GetSecrets()) != 2 {
		t.Errorf("the workspace has %v, want one key with 2 secrets", page.GetKeys())
	}
	f.advance(authsvc.RequestLife)
	_, err = keys.CreateKey(t.Context(), create)
	must(t, err)
}

func TestCatalogHasTheCodesAndTheAgentTypes(t *testing.T) {
	f := newFixture(t)
	catalog, err := authv1.NewKeyServiceClient(f.dial(t)).GetCatalog(t.Context(), &authv1.GetCatalogRequest{})
	must(t, err)
	var codes, causes, types []string
	for _, c := range catalog.GetErrorCodes() {
		codes = append(codes, fmt.Sprint(c.GetHttpStatus(), " ", c.GetCode()))
		if c.GetMessage() == "" || c.GetFix() == "" {
			t.Errorf("%v lacks a text", c)
		}
		for _, cause := range c.GetCauses() {
			causes = append(causes, cause.GetCause())
			if cause.GetFix() == "" || cause.GetFix() == c.GetFix() {
				t.Errorf("%v lacks a fix of its own", cause)
			}
		}
	}
	for _, a := range catalog.GetAgentTypes() {
		types = append(types, a.GetAgentType()+"="+a.GetLabel())
	}
	for _, tt := range []struct{ got, want []string }{
		{codes, []string{"401 missing_token", "401 invalid_token", "401 disabled", "401 expired", "403 scope_denied", "403 agent_denied"}},
		{causes, []string{"secret_rotated", "other_workspace", "no_agent"}},
		{types, []string{"agent=Agent", "data_agent=Data Agent", "voice_agent=Voice Agent"}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("the catalog has %q, want %q", tt.got, tt.want)
		}
	}
}
