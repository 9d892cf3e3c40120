package throttle

// recent is a map that forgets: of the entries put into it last it holds at least as many as are remembered, and at
// most twice as many. The zero value is empty.
type recent[K comparable, V any] struct{ young, old map[K]V }

func (r *recent[K, V]) get(key K) (value V, ok bool) {
	if value, ok = r.young[key]; ok {
		return value, true
	}
	value, ok = r.old[key]
	return value, ok
}

func (r *recent[K, V]) put(key K, value V) {
	if _, known := r.young[key]; !known && len(r.young) >= remembered || r.young == nil {
		r.young, r.old = make(map[K]V), r.young
	}
	r.young[key] = value
}

func (r *recent[K, V]) drop(key K) {
	delete(r.young, key)
	delete(r.old, key)
}
