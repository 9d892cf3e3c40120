package authsvc

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"time"
)

// A snapshot is a line with the format, the gob of a snapshotHeader and of as many keys as it says, and the SHA-256 of all
// that. A key has the fields that a check needs. It contains digests of secrets and the key of report tokens, but no secret.

// snapshotFormat changes with every change of the format that an older or a newer release would read wrongly.
const snapshotFormat = "keytrail keyring 1\n"

type snapshotHeader struct {
	// Database identifies the database of the keys.
	Database string
	TokenKey []byte
	Position Position
	// Time is when the keyring last knew everything.
	Time time.Time
	Keys int
}

// WriteSnapshot writes everything that is in force to w, in bounded memory besides 40 bytes a secret. database identifies the
// store; tokenKey is what Store.TokenKey returns. It returns the position of the snapshot. A refresh waits while it
// makes the list of secrets, but not while it writes. It ends with ctx, but not while w waits for a disk.
func (r *Keyring) WriteSnapshot(ctx context.Context, w io.Writer, database string, tokenKey []byte) (Position, error) {
	header, secrets, err := r.listSecrets(ctx)
	if err != nil {
		return Position{}, err
	}
	header.Database, header.TokenKey = database, tokenKey
	sum := sha256.New()
	all := io.MultiWriter(w, sum)
	if _, err := io.WriteString(all, snapshotFormat); err != nil {
		return Position{}, fmt.Errorf("write the snapshot: %w", err)
	}
	encoder := gob.NewEncoder(all)
	if err := encoder.Encode(header); err != nil {
		return Position{}, fmt.Errorf("write the header of the snapshot: %w", err)
	}
	for len(secrets) > 0 {
		if ctx.Err() != nil {
			return Position{}, fmt.Errorf("write the snapshot: %w", ctx.Err())
		}
		var key Key
		key, secrets = nextKey(secrets)
		if err := encoder.Encode(key); err != nil {
			return Position{}, fmt.Errorf("write a key to the snapshot: %w", err)
		}
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return Position{}, fmt.Errorf("write the checksum of the snapshot: %w", err)
	}
	return header.Position, nil
}

// listedSecret is a secret that a snapshot is made of.
type listedSecret struct {
	digest Digest
	*credential
}

// listSecrets returns all secrets, those of a key together. Credentials are immutable, so the list stays as it is.
func (r *Keyring) listSecrets(ctx context.Context) (snapshotHeader, []listedSecret, error) {
	if err := r.admit(ctx); err != nil {
		return snapshotHeader{}, nil, err
	}
	defer r.release()
	if r.position == (Position{}) {
		return snapshotHeader{}, nil, errors.New("the keyring is not loaded")
	}
	secrets, keys := make([]listedSecret, 0, len(r.keys.credentials)), 0
	for id, key := range r.keys.secrets {
		before := len(secrets)
		for _, digest := range key.digests {
			if c := r.keys.credentials[digest]; c != nil && c.keyID == id { // another key can have the digest: see keyset.remove
				secrets = append(secrets, listedSecret{digest, c})
			}
		}
		if len(secrets) > before {
			keys++
		}
	}
	return snapshotHeader{Position: r.position, Time: r.refreshed, Keys: keys}, secrets, nil
}

// nextKey returns the key that a list begins with, and the rest of the list.
func nextKey(secrets []listedSecret) (Key, []listedSecret) {
	first := secrets[0]
	key := Key{
		ID: first.keyID, WorkspaceID: first.workspaceID, Name: first.keyName, ExternalID: first.externalID, Metadata: first.metadata,
		Scopes: first.scopes, AgentIDs: first.agentIDs, AllAgents: first.allAgents, Disabled: first.disabled,
		ExpireTime: first.keyExpireTime,
	}
	for len(secrets) > 0 && secrets[0].keyID == key.ID {
		next := secrets[0]
		key.Secrets = append(key.Secrets, Secret{Digest: next.digest, Last4: next.last4, ExpireTime: next.secretExpireTime})
		secrets = secrets[1:]
	}
	return key, secrets
}

// ReadSnapshot fills an empty keyring from a snapshot of the same database and returns the key of report tokens. The keyring
// is as stale as the snapshot, and follows from its position. If ReadSnapshot returns an error, the keyring stays empty.
func (r *Keyring) ReadSnapshot(file io.ReadSeeker, database string) (tokenKey []byte, err error) {
	size, err := verifySnapshot(file)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(int64(len(snapshotFormat)), io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the snapshot: %w", err)
	}
	decoder := gob.NewDecoder(bufio.NewReaderSize(io.LimitReader(file, size-int64(len(snapshotFormat))), 1<<20))
	var header snapshotHeader
	if err := decoder.Decode(&header); err != nil {
		return nil, fmt.Errorf("read the header of the snapshot: %w", err)
	}
	if header.Database != database {
		return nil, errors.New("the snapshot is of another database")
	}
	keys, interned, garbage := newKeyset(), newInterner(), newCollector()
	for range header.Keys {
		var change Change
		if err := decoder.Decode(&change.Key); err != nil {
			return nil, fmt.Errorf("read a key of the snapshot: %w", err)
		}
		interned.intern(&change.Key)
		keys.apply(&change)
		garbage.loaded()
	}
	// A snapshot from the future, by a clock that was set back since, is not fresh for longer than one of now.
	refreshed := header.Time
	if now := r.now(); refreshed.After(now) {
		refreshed = now
	}
	r.replace(keys, header.Position, refreshed)
	return header.TokenKey, nil
}

// verifySnapshot checks the format and the checksum, and returns the size without the checksum.
func verifySnapshot(file io.ReadSeeker) (size int64, err error) {
	end, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return 0, fmt.Errorf("read the snapshot: %w", err)
	}
	format := make([]byte, len(snapshotFormat))
	if _, err := io.ReadFull(file, format); err != nil || string(format) != snapshotFormat {
		return 0, errors.New("the snapshot has the format of another release")
	}
	size = end - sha256.Size
	sum := sha256.New()
	sum.Write(format)
	if _, err := io.CopyN(sum, file, size-int64(len(format))); err != nil {
		return 0, fmt.Errorf("the snapshot is too short: %w", err)
	}
	if want, err := io.ReadAll(file); err != nil || !bytes.Equal(want, sum.Sum(nil)) {
		return 0, errors.New("the snapshot is damaged: its checksum is wrong")
	}
	return size, nil
}
