package main

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// mayBeUnset are the fields of responses that may be missing. All others are always there, objects and times included, so
// that a client need not ask for each whether it is.
//
// A message, time or duration that a later release adds must be listed, too: a gateway of that release may stand in front
// of a service of the release before, which does not send it. To take a field off the list later, or to list one that is
// required now, breaks clients.
var mayBeUnset = map[protoreflect.FullName]bool{
	"keytrail.auth.v1.CheckResponse.denial":  true,
	"keytrail.auth.v1.Key.expire_time":       true,
	"keytrail.auth.v1.Secret.expire_time":    true,
	"keytrail.logs.v1.RequestLog.latency_ms": true,

	"keytrail.logs.v1.LogKey.exists":                     true,
	"keytrail.logs.v1.PurgeRequestLogsResponse.end_time": true,
	"keytrail.logs.v1.SummaryBucket.latency":             true,
	"keytrail.logs.v1.TailRequestLogsResponse.gap":       true,
}

// expectUnset holds the list against the responses: it has fields of theirs only, and every optional one.
func (s *schemas) expectUnset() error {
	found := map[protoreflect.FullName]bool{}
	for _, name := range slices.Sorted(maps.Keys(s.answers)) {
		message, err := s.contract.files.FindDescriptorByName(name)
		if err != nil {
			return err
		}
		for field := range fields(message.(protoreflect.MessageDescriptor)) {
			if field.ContainingOneof() != nil && !s.unset[field.FullName()] {
				return fmt.Errorf("%s is optional, or one of several: add it to mayBeUnset", field.FullName())
			}
			found[field.FullName()] = field.HasPresence()
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.unset)) {
		if !found[name] {
			return fmt.Errorf("mayBeUnset has %s, which is no field of a response that can be unset", name)
		}
	}
	return nil
}
