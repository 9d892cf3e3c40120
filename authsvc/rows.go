package authsvc

import "iter"

// MergeRows helps stores that read a key with several secrets as several rows. It merges consecutive rows of one revision,
// each with one secret, into one change and calls apply with it. The first error of rows or apply ends it.
func MergeRows(rows iter.Seq2[Change, error], apply func(Change) error) error {
	var current Change // no change has revision 0
	for row, err := range rows {
		switch {
		case err != nil:
			return err
		case row.Revision == current.Revision:
			current.Key.Secrets = append(current.Key.Secrets, row.Key.Secrets...)
			continue
		case current.Revision > 0:
			if err := apply(current); err != nil {
				return err
			}
		}
		current = row
	}
	if current.Revision == 0 {
		return nil
	}
	return apply(current)
}
