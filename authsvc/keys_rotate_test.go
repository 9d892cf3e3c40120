package authsvc_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

func rotate(t *testing.T, fx *fixture, key authsvc.Key, grace time.Duration) (authsvc.Key, authsvc.PlainSecret) {
	t.Helper()
	key, secret, err := fx.keys.Rotate(t.Context(), "acme", key.ID, grace, uuid.Nil)
	must(t, err)
	return key, secret
}

func TestRotationWithoutGraceEndsTheOldSecretAtOnce(t *testing.T) {
	fx := newFixture(t)
	key, first := fx.create(t, nil)
	key, second := rotate(t, fx, key, 0)
	fx.expectCode(t, first, authsvc.Expired)
	fx.expectCode(t, second, "")
	if key.Last4() != second.Last4() || len(key.Secrets) != 2 || !key.Secrets[1].ExpireTime.Equal(fx.clock.now) {
		t.Errorf("the rotated key is %+v", key)
	}
}

func TestOldSecretLivesToTheLastMillisecondOfItsGrace(t *testing.T) {
	fx := newFixture(t)
	key, first := fx.create(t, nil)
	_, second := rotate(t, fx, key, authsvc.DefaultGrace)
	fx.clock.move(24*time.Hour - time.Millisecond)
	fx.expectCode(t, first, "")
	fx.clock.move(time.Millisecond)
	fx.expectCode(t, first, authsvc.Expired)
	fx.expectCode(t, second, "")
}

func TestRotationShortensALifeAndNeverLengthensIt(t *testing.T) {
	fx := newFixture(t)
	key, _ := fx.create(t, nil)
	start := fx.clock.now
	key, _ = rotate(t, fx, key, time.Hour)
	key, _ = rotate(t, fx, key, 48*time.Hour)
	key, _ = rotate(t, fx, key, 24*time.Hour)
	var ends []time.Duration
	for _, s := range key.Secrets[1:] {
		ends = append(ends, s.ExpireTime.Sub(start))
	}
	if diff := cmp.Diff([]time.Duration{24 * time.Hour, 24 * time.Hour, time.Hour}, ends); diff != "" {
		t.Errorf("the earlier secrets end (-want +got):\n%s", diff)
	}
	if !key.Secrets[0].ExpireTime.IsZero() {
		t.Error("the newest secret ends by itself")
	}
}

func TestRotationIsRefusedWhileEverySecretLives(t *testing.T) {
	fx := newFixture(t)
	key, oldest := fx.create(t, nil)
	for range authsvc.MaxSecrets - 1 {
		fx.clock.move(time.Minute)
		key, _ = rotate(t, fx, key, authsvc.DefaultGrace)
	}
	_, _, err := fx.keys.Rotate(t.Context(), "acme", key.ID, authsvc.DefaultGrace, uuid.Nil)
	expectKind(t, err, fault.Precondition)
	unchanged, err := fx.keys.Get(t.Context(), "acme", key.ID)
	must(t, err)
	if diff := cmp.Diff(key, unchanged); diff != "" {
		t.Errorf("the refused rotation changed the key (-want +got):\n%s", diff)
	}
	fx.expectCode(t, oldest, "")

	// The oldest secret expires 24 h after the first rotation, and the next rotation drops it.
	fx.clock.move(24*time.Hour - time.Duration(authsvc.MaxSecrets-2)*time.Minute)
	fx.expectCode(t, oldest, authsvc.Expired)
	key, newest := rotate(t, fx, key, authsvc.DefaultGrace)
	if len(key.Secrets) != authsvc.MaxSecrets {
		t.Errorf("the key has %d secrets, want %d", len(key.Secrets), authsvc.MaxSecrets)
	}
	fx.expectCode(t, oldest, authsvc.InvalidToken)
	fx.expectCode(t, newest, "")
}

func TestRotationWithoutGraceAlwaysFindsRoom(t *testing.T) {
	fx := newFixture(t)
	key, secret := fx.create(t, nil)
	for range authsvc.MaxSecrets + 2 {
		old := secret
		key, secret = rotate(t, fx, key, 0)
		fx.expectCode(t, old, authsvc.Expired)
		fx.expectCode(t, secret, "")
	}
	if len(key.Secrets) != authsvc.MaxSecrets {
		t.Errorf("the key has %d secrets, want %d", len(key.Secrets), authsvc.MaxSecrets)
	}
}
