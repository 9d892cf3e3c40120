package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// replicaClient calls one replica of the auth service.
type replicaClient struct {
	daemon *daemon
	checks authv1.CheckServiceClient
	keys   authv1.KeyServiceClient
}

// changedKey is a key, and the error code of its checks after the latest change that was answered OK.
type changedKey struct {
	id, secret, code string
}

// keyChanger changes keys on random replicas, and expects each change to be in force on the replica that has answered OK.
type keyChanger struct {
	replicas []replicaClient
	random   *rand.Rand
	// keys exist; deleted were deleted since the last expectInForce.
	keys, deleted []*changedKey
	// changes counts the changes that were answered OK.
	changes int
}

const (
	changedWorkspace = "changes"
	maxChangedKeys   = 5
)

// start changes keys until stop is called, which returns the first error.
func (c *keyChanger) start(working context.Context) (stop func() error) {
	running, end := context.WithCancel(working)
	ended := make(chan error, 1)
	go func() {
		var err error
		for running.Err() == nil && err == nil {
			err = c.change(working)
			pause(running, 30*time.Millisecond)
		}
		ended <- err
	}()
	return func() error {
		end()
		return <-ended
	}
}

// change makes one change.
func (c *keyChanger) change(ctx context.Context) error {
	replica := c.replicas[c.random.IntN(len(c.replicas))]
	if len(c.keys) < maxChangedKeys {
		return c.create(ctx, replica)
	}
	at := c.random.IntN(len(c.keys))
	k, before := c.keys[at], replica.daemon.starts.Load()
	do := c.toggle
	if c.random.IntN(5) == 0 {
		do = c.delete
		c.keys, c.deleted = slices.Delete(c.keys, at, at+1), append(c.deleted, k)
	}
	ok, err := do(ctx, replica, k)
	if err != nil || !ok {
		return err
	}
	c.changes++
	code, err := replica.code(ctx, k)
	// A replica that was restarted may not have reached the database yet.
	if err == nil && code != k.code && replica.daemon.starts.Load() == before {
		err = fmt.Errorf("a change of the key %s was answered OK and is not in force: its check returned %q, want %q", k.id, code, k.code)
	}
	return err
}

// create tries to create a key. If no response arrives there may be a key whose secret is unknown.
func (c *keyChanger) create(ctx context.Context, replica replicaClient) error {
	answer, err := replica.keys.CreateKey(ctx, &authv1.CreateKeyRequest{
		WorkspaceId: changedWorkspace, Key: &authv1.Key{Name: "changed", Scopes: []string{"agent"}, AllAgents: true},
	}, grpc.WaitForReady(true))
	switch {
	case status.Code(err) == codes.Unavailable:
		return nil
	case err != nil:
		return fmt.Errorf("create a key: %w", err)
	}
	c.changes++
	c.keys = append(c.keys, &changedKey{id: answer.GetKey().GetId(), secret: answer.GetSecret()})
	return nil
}

func (c *keyChanger) toggle(ctx context.Context, replica replicaClient, k *changedKey) (ok bool, err error) {
	request := &authv1.UpdateKeyRequest{
		WorkspaceId: changedWorkspace, KeyId: k.id, Key: &authv1.Key{Disabled: k.code == ""}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"disabled"}},
	}
	err = retryUnavailable(ctx, func(ctx context.Context) error {
		_, err := replica.keys.UpdateKey(ctx, request, grpc.WaitForReady(true))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("update the key %s: %w", k.id, err)
	}
	k.code = map[string]string{"": "disabled", "disabled": ""}[k.code]
	return true, nil
}

// delete reports whether the change was answered OK. After a lost response the retry does not find the key, and the change may
// be in force later.
func (c *keyChanger) delete(ctx context.Context, replica replicaClient, k *changedKey) (ok bool, err error) {
	err = retryUnavailable(ctx, func(ctx context.Context) error {
		_, err := replica.keys.DeleteKey(ctx, &authv1.DeleteKeyRequest{WorkspaceId: changedWorkspace, KeyId: k.id}, grpc.WaitForReady(true))
		return err
	})
	k.code = "invalid_token"
	if err != nil && status.Code(err) != codes.NotFound {
		return false, fmt.Errorf("delete the key %s: %w", k.id, err)
	}
	return err == nil, nil
}

// code returns the error code of a check.
func (r replicaClient) code(ctx context.Context, k *changedKey) (code string, err error) {
	err = retryUnavailable(ctx, func(ctx context.Context) error {
		answer, err := r.checks.Check(ctx, &authv1.CheckRequest{
			ApiKey: k.secret, AgentType: "agent", WorkspaceId: changedWorkspace,
		}, grpc.WaitForReady(true))
		code = answer.GetDenial().GetCode()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("check the key %s: %w", k.id, err)
	}
	return code, nil
}

// expectInForce waits until every change is in force on every replica, all of which must be up.
func (c *keyChanger) expectInForce(t *testing.T) {
	t.Helper()
	for i, replica := range c.replicas {
		for _, k := range slices.Concat(c.deleted, c.keys) {
			var code string
			var err error
			await(t, readyTimeout, func() bool {
				code, err = replica.code(t.Context(), k)
				return err == nil && code == k.code
			}, func() any {
				return fmt.Sprintf("auth service %d: a check of the key %s returned %q, want %q; error: %v", i, k.id, code, k.code, err)
			})
		}
	}
	c.deleted = nil
}
