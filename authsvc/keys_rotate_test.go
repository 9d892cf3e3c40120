package authsvc_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

func rotate(t *testing.T, w *world, key authsvc.Key, grace time.Duration) (authsvc.Key, authsvc.PlainSecret) {
	t.Helper()
	key, secret, err := w.keys.Rotate(t.Context(), "acme", key.ID, grace, uuid.Nil)
	must(t, err)
	return key, secret
}

func TestRotationWithoutGraceEndsTheOldSecretAtOnce(t *testing.T) {
	w := newWorld(t)
	key, first := w.create(t, nil)
	key, second := rotate(t, w, key, 0)
	w.expectCode(t, first, authsvc.Expired)
	w.expectCode(t, second, "")
	if key.Last4() != second.Last4() || len(key.Secrets) != 2 || !key.Secrets[1].ExpireTime.Equal(w.clock.now) {
		t.Errorf("the rotated key is %+v", key)
	}
}

func TestOldSecretLivesToTheLastMillisecondOfItsGrace(t *testing.T) {
	w := newWorld(t)
	key, first := w.create(t, nil)
	_, second := rotate(t, w, key, authsvc.DefaultGrace)
	w.clock.move(24*time.Hour - time.Millisecond)
	w.expectCode(t, first, "")
	w.clock.move(time.Millisecond)
	w.expectCode(t, first, authsvc.Expired)
	w.expectCode(t, second, "")
}

func TestRotationShortensALifeAndNeverLengthensIt(t *testing.T) {
	w := newWorld(t)
	key, _ := w.create(t, nil)
	start := w.clock.now
	key, _ = rotate(t, w, key, time.Hour)
	key, _ = rotate(t, w, key, 48*time.Hour)
	key, _ = rotate(t, w, key, 24*time.Hour)
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
	w := newWorld(t)
	key, oldest := w.create(t, nil)
	for range authsvc.MaxSecrets - 1 {
		w.clock.move(time.Minute)
		key, _ = rotate(t, w, key, authsvc.DefaultGrace)
	}
	_, _, err := w.keys.Rotate(t.Context(), "acme", key.ID, authsvc.DefaultGrace, uuid.Nil)
	expectKind(t, err, fault.Precondition)
	unchanged, err := w.keys.Get(t.Context(), "acme", key.ID)
	must(t, err)
	if diff := cmp.Diff(key, unchanged); diff != "" {
		t.Errorf("the refused rotation changed the key (-want +got):\n%s", diff)
	}
	w.expectCode(t, oldest, "")

	// The oldest dies 24 h after the first rotation, and makes room.
	w.clock.move(24*time.Hour - time.Duration(authsvc.MaxSecrets-2)*time.Minute)
	w.expectCode(t, oldest, authsvc.Expired)
	key, newest := rotate(t, w, key, authsvc.DefaultGrace)
	if len(key.Secrets) != authsvc.MaxSecrets {
		t.Errorf("the key has %d secrets, want %d", len(key.Secrets), authsvc.MaxSecrets)
	}
	w.expectCode(t, oldest, authsvc.InvalidToken)
	w.expectCode(t, newest, "")
}

func TestRotationWithoutGraceAlwaysFindsRoom(t *testing.T) {
	w := newWorld(t)
	key, secret := w.create(t, nil)
	for range authsvc.MaxSecrets + 2 {
		old := secret
		key, secret = rotate(t, w, key, 0)
		w.expectCode(t, old, authsvc.Expired)
		w.expectCode(t, secret, "")
	}
	if len(key.Secrets) != authsvc.MaxSecrets {
		t.Errorf("the key has %d secrets, want %d", len(key.Secrets), authsvc.MaxSecrets)
	}
}
