package authsvc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

func TestMalformedKeysNameTheField(t *testing.T) {
	w := newWorld(t)
	keys := authv1.NewKeyServiceClient(w.dial(t))
	past := timestamppb.New(w.clock.now.Add(-time.Second))
	for name, tt := range map[string]struct {
		field  string
		change func(*authv1.CreateKeyRequest)
	}{
		"an unknown scope":      {"scopes[1]", func(r *authv1.CreateKeyRequest) { r.Scopes = []string{"agent", "robot"} }},
		"a scope twice":         {"scopes", func(r *authv1.CreateKeyRequest) { r.Scopes = []string{"agent", "agent"} }},
		"no scope":              {"scopes", func(r *authv1.CreateKeyRequest) { r.Scopes = nil }},
		"no name":               {"name", func(r *authv1.CreateKeyRequest) { r.Name = "" }},
		"a blank name":          {"name", func(r *authv1.CreateKeyRequest) { r.Name = "  " }},
		"a long name":           {"name", func(r *authv1.CreateKeyRequest) { r.Name = strings.Repeat("é", 101) }},
		"a name with a newline": {"name", func(r *authv1.CreateKeyRequest) { r.Name = "a\nb" }},
		"a name with a C1":      {"name", func(r *authv1.CreateKeyRequest) { r.Name = "a\u009bb" }},
		"a name turned around":  {"name", func(r *authv1.CreateKeyRequest) { r.Name = "a\u202eb" }},
		"an agent turned round": {"agent_ids[0]", func(r *authv1.CreateKeyRequest) { r.AllAgents, r.AgentIds = false, []string{"a\u202eb"} }},
		"a name not in UTF-8":   {"name", func(r *authv1.CreateKeyRequest) { r.Name = "a\xff" }},
		"no agents":             {"agent_ids", func(r *authv1.CreateKeyRequest) { r.AllAgents = false }},
		"all agents and some":   {"agent_ids", func(r *authv1.CreateKeyRequest) { r.AgentIds = []string{"a"} }},
		"an agent not in UTF-8": {"agent_ids[1]", func(r *authv1.CreateKeyRequest) { r.AgentIds = []string{"a", "\xff"} }},
		"no workspace":          {"workspace_id", func(r *authv1.CreateKeyRequest) { r.WorkspaceId = "" }},
		"the reserved one":      {"workspace_id", func(r *authv1.CreateKeyRequest) { r.WorkspaceId = "_unattributed" }},
		"an expiry in the past": {"expire_time", func(r *authv1.CreateKeyRequest) { r.ExpireTime = past }},
		"an expiry in year 0":   {"expire_time", func(r *authv1.CreateKeyRequest) { r.ExpireTime = &timestamppb.Timestamp{Seconds: -1e12} }},
		"the zero time":         {"expire_time", func(r *authv1.CreateKeyRequest) { r.ExpireTime = timestamppb.New(time.Time{}) }},
	} {
		t.Run(name, func(t *testing.T) {
			request := &authv1.CreateKeyRequest{WorkspaceId: "acme", Name: "n", Scopes: []string{"agent"}, AllAgents: true}
			tt.change(request)
			_, err := keys.CreateKey(t.Context(), request)
			expectBad(t, err, tt.field)
		})
	}
}

func TestRotationWithoutAGracePeriodTakesADay(t *testing.T) {
	w := newWorld(t)
	key, _ := w.create(t, nil)
	keys := authv1.NewKeyServiceClient(w.dial(t))
	for _, tt := range []struct {
		grace *durationpb.Duration
		want  time.Duration
	}{{nil, 24 * time.Hour}, {durationpb.New(time.Minute), time.Minute}, {durationpb.New(0), 0}} {
		answer, err := keys.RotateKey(t.Context(), &authv1.RotateKeyRequest{
			WorkspaceId: "acme", KeyId: key.ID.String(), GracePeriod: tt.grace,
		})
		must(t, err)
		if end := answer.GetKey().GetSecrets()[1].GetExpireTime().AsTime(); !end.Equal(w.clock.now.Add(tt.want)) {
			t.Errorf("grace %v: the earlier secret ends %v", tt.grace, end)
		}
		if !strings.HasSuffix(answer.GetSecret(), answer.GetKey().GetLast4()) {
			t.Errorf("the secret %q of the key %v", answer.GetSecret(), answer.GetKey())
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
	w := newWorld(t)
	var want, got []string
	for range 5 {
		w.clock.move(time.Millisecond)
		key, _ := w.create(t, nil)
		want = append([]string{key.ID.String()}, want...)
	}
	keys := authv1.NewKeyServiceClient(w.dial(t))
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
	for _, size := range []int32{-1, 1001, 1e9} {
		_, err := keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme", PageSize: size})
		expectBad(t, err, "page_size")
	}
}

func TestPagesOfLargeKeysEndEarly(t *testing.T) {
	w := newWorld(t)
	const count = 7
	for range count {
		w.clock.move(time.Millisecond)
		w.create(t, func(k *authsvc.Key) {
			k.AllAgents = false
			for i := range 1000 {
				k.AgentIDs = append(k.AgentIDs, fmt.Sprintf("%04d", i)+strings.Repeat("a", 500))
			}
		})
	}
	keys := authv1.NewKeyServiceClient(w.dial(t))
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

func TestKeyOfAnotherWorkspaceIsNotFoundOverGRPC(t *testing.T) {
	w := newWorld(t)
	key, _ := w.create(t, nil)
	keys, id := authv1.NewKeyServiceClient(w.dial(t)), key.ID.String()
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
	w := newWorld(t)
	key, _ := w.create(t, nil)
	keys := authv1.NewKeyServiceClient(w.dial(t))
	request := &authv1.RotateKeyRequest{WorkspaceId: "acme", KeyId: key.ID.String()}
	for range authsvc.MaxSecrets - 1 {
		_, err := keys.RotateKey(t.Context(), request)
		must(t, err)
	}
	_, err := keys.RotateKey(t.Context(), request)
	expectStatus(t, err, codes.FailedPrecondition)
}
