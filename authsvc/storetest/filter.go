package storetest

import (
	"testing"
	"time"

	"github.com/keytrail/keytrail/authsvc"
)

var filters = []statement{
	{"Text selects keys by a part of their name, in any case, literally", func(t *testing.T, store authsvc.Store) {
		made := named(t, store, "Größe 100%", "other_1", "OTHERX1", "Ωmega")
		selects(t, store, authsvc.KeyQuery{Text: "GRÖSSE"})
		selects(t, store, authsvc.KeyQuery{Text: "GRÖ"}, made[0])
		selects(t, store, authsvc.KeyQuery{Text: "0%"}, made[0])
		selects(t, store, authsvc.KeyQuery{Text: "other_"}, made[1])
		selects(t, store, authsvc.KeyQuery{Text: "Other"}, made[1], made[2])
		selects(t, store, authsvc.KeyQuery{Text: "ωM"}, made[3])
	}},
	{"Text selects keys by the last 4 characters of any of their secrets, in any case", func(t *testing.T, store authsvc.Store) {
		made := named(t, store, "a", "b")
		key, err := store.Update(t.Context(), home, made[0].ID, authsvc.Request{}, func(k *authsvc.Key) error {
			k.Secrets[0].Last4 = "aBc9"
			k.Secrets = append(k.Secrets, newSecret(start))
			k.Secrets[1].Last4 = "Zz00"
			return nil
		})
		must(t, err)
		selects(t, store, authsvc.KeyQuery{Text: "AbC9"}, key)
		selects(t, store, authsvc.KeyQuery{Text: "zz00"}, key)
		selects(t, store, authsvc.KeyQuery{Text: "bc9"})
	}},
	{"ExternalID selects keys by exactly that", func(t *testing.T, store authsvc.Store) {
		made := named(t, store, "a", "b", "c")
		for i, id := range []string{"cust_1", "CUST_1", "cust_12"} {
			made[i].ExternalID = id
			_, err := store.Update(t.Context(), home, made[i].ID, authsvc.Request{}, func(k *authsvc.Key) error {
				k.ExternalID = id
				return nil
			})
			must(t, err)
		}
		selects(t, store, authsvc.KeyQuery{ExternalID: "cust_1"}, made[0])
		selects(t, store, authsvc.KeyQuery{ExternalID: "cust"})
	}},
	{"State selects keys by their state at Now: disabled, expired and not disabled, or enabled", states},
	{"filters combine with AND, and with pages", func(t *testing.T, store authsvc.Store) {
		made := named(t, store, "prod 1", "prod 2", "test", "prod 3")
		query := authsvc.KeyQuery{Text: "prod", ExternalID: made[0].ExternalID, State: authsvc.StateEnabled, Now: start}
		selects(t, store, query, made[0], made[1], made[3])
		query.Limit = 2
		selects(t, store, query, made[0], made[1])
		query.Before = made[1].ID
		selects(t, store, query, made[3])
		query.ExternalID = "another"
		selects(t, store, query)
	}},
}

// named makes keys with these names, the highest ID first.
func named(t *testing.T, store authsvc.Store, names ...string) []authsvc.Key {
	t.Helper()
	keys := createdMany(t, store, home, len(names))
	for i, name := range names {
		keys[i] = renamed(t, store, keys[i], name)
	}
	created(t, store, other)
	return keys
}

// selects expects the keys that a query selects in the home workspace.
func selects(t *testing.T, store authsvc.Store, query authsvc.KeyQuery, want ...authsvc.Key) {
	t.Helper()
	query.WorkspaceID = home
	if query.Limit == 0 {
		query.Limit = 100
	}
	got, err := store.List(t.Context(), query)
	must(t, err)
	equal(t, "what the query selects", ids(got), ids(want))
	for i := range min(len(got), len(want)) {
		equal(t, "a key of List", got[i], want[i])
	}
}

func states(t *testing.T, store authsvc.Store) {
	made := named(t, store, "never expires", "expires later", "expires now", "expired", "disabled", "disabled and expired")
	for i, change := range []func(*authsvc.Key){
		func(k *authsvc.Key) { k.ExpireTime = time.Time{} },
		func(k *authsvc.Key) { k.ExpireTime = start.Add(time.Millisecond) },
		func(k *authsvc.Key) { k.ExpireTime = start },
		func(k *authsvc.Key) { k.ExpireTime = start.Add(-time.Hour) },
		func(k *authsvc.Key) { k.Disabled, k.ExpireTime = true, time.Time{} },
		func(k *authsvc.Key) { k.Disabled, k.ExpireTime = true, start.Add(-time.Hour) },
	} {
		var err error
		made[i], err = store.Update(t.Context(), home, made[i].ID, authsvc.Request{}, func(k *authsvc.Key) error {
			change(k)
			return nil
		})
		must(t, err)
	}
	selects(t, store, authsvc.KeyQuery{State: authsvc.StateEnabled, Now: start}, made[:2]...)
	selects(t, store, authsvc.KeyQuery{State: authsvc.StateExpired, Now: start}, made[2:4]...)
	selects(t, store, authsvc.KeyQuery{State: authsvc.StateDisabled, Now: start}, made[4:]...)
	selects(t, store, authsvc.KeyQuery{Now: start}, made...)
}
