package block

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// Keys are the uses of keys.
type Keys map[uuid.UUID]*KeyUse

// KeyUse is what is known of a key from its entries.
type KeyUse struct {
	// FirstUse and LastUse are the times of the oldest and of the newest entry, in Unix milliseconds.
	FirstUse, LastUse int64
	// Name and Last4 are those of the newest entry. Of several in its millisecond, the highest name counts.
	Name, Last4 string
	// Classes are sorted by class.
	Classes []ClassCalls
}

// ClassCalls is a number of calls, which is not 0.
type ClassCalls struct {
	// Class is the first digit of the status, 0 = in progress.
	Class int
	Calls int64
}

// Add counts a group, unless it has no key. A key whose counts become 0 is removed; the times of a key's use only widen.
func (k Keys) Add(g Group) {
	if g.KeyID == uuid.Nil {
		return
	}
	k.merge(g.KeyID, &KeyUse{
		Name: g.KeyName, Last4: g.KeyLast4, FirstUse: g.FirstUse, LastUse: g.LastUse,
		Classes: []ClassCalls{{g.Class, g.Calls}},
	})
}

// Merge adds other uses, which it does not change.
func (k Keys) Merge(other Keys) {
	for id, use := range other {
		k.merge(id, use)
	}
}

func (k Keys) merge(id uuid.UUID, added *KeyUse) {
	use := k[id]
	if use == nil {
		use = &KeyUse{FirstUse: added.FirstUse}
		k[id] = use
	}
	use.FirstUse = min(use.FirstUse, added.FirstUse)
	use.setNewest(added.LastUse, added.Name, added.Last4)
	for _, c := range added.Classes {
		use.add(c)
	}
	if len(use.Classes) == 0 {
		delete(k, id)
	}
}

// setNewest sets what the newest entry has, unless a newer one was there.
func (u *KeyUse) setNewest(at int64, name, last4 string) {
	if at > u.LastUse || at == u.LastUse && cmp.Or(cmp.Compare(name, u.Name), cmp.Compare(last4, u.Last4)) > 0 {
		u.LastUse, u.Name, u.Last4 = at, name, last4
	}
}

func (u *KeyUse) add(added ClassCalls) {
	i := 0
	for i < len(u.Classes) && u.Classes[i].Class < added.Class {
		i++
	}
	if i == len(u.Classes) || u.Classes[i].Class != added.Class {
		u.Classes = slices.Insert(u.Classes, i, ClassCalls{Class: added.Class})
	}
	if u.Classes[i].Calls += added.Calls; u.Classes[i].Calls == 0 {
		u.Classes = slices.Delete(u.Classes, i, i+1)
	}
}
