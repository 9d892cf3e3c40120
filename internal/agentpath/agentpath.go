// Package agentpath reads the called agent from the path of a call, by templates.
package agentpath

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Call is what a path says of a call. What its template has no placeholder for is empty.
type Call struct {
	WorkspaceID, AgentType, AgentID string
}

// DefaultTemplate is the template where none is configured.
const DefaultTemplate = "/v1/{agent_type}s/{agent_id}/…"

// Templates are path templates, in the order in which they are tried.
//
// A template is a path whose segments are literal, or have one placeholder each, with literal text around it:
// {workspace_id}, {agent_type} or {agent_id}. It matches the path and every path below it. So /v1/{agent_type}s/{agent_id}
// matches /v1/voice_agents/a1/calls, as the agent a1 of the type voice_agent. /… at the end has no meaning. A template without
// {agent_type} begins with the type: agent=/v1/bots/{agent_id}. Without {agent_id} it is for calls on no agent in particular.
type Templates []template

type template struct {
	agentType string
	segments  []segment
}

// segment is a part of a template between two slashes.
type segment struct {
	before, after string
	// set sets the value of the placeholder; nil = before is the whole segment.
	set func(*Call, string)
}

// placeholders are the names that a template may have, each once at most.
var placeholders = map[string]func(*Call, string){
	"workspace_id": func(c *Call, value string) { c.WorkspaceID = value },
	// Paths are often written with hyphens; types have none.
	"agent_type": func(c *Call, value string) { c.AgentType = strings.ReplaceAll(value, "-", "_") },
	"agent_id":   func(c *Call, value string) { c.AgentID = value },
}

var typePrefix = regexp.MustCompile(`^([a-z0-9_]{1,63})=/`)

// Parse parses templates. An error names the template.
func Parse(texts []string) (Templates, error) {
	var all Templates
	for _, text := range texts {
		parsed, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		all = append(all, parsed)
	}
	return all, nil
}

func parse(text string) (template, error) {
	var t template
	if prefix := typePrefix.FindStringSubmatch(text); prefix != nil {
		t.agentType, text = prefix[1], text[len(prefix[1])+1:]
	}
	if !strings.HasPrefix(text, "/") {
		return t, errors.New("must begin with /, or with TYPE=/")
	}
	var used []string
	text = cmp.Or(strings.TrimSuffix(text, "/…"), "/")
	for _, part := range segmentsOf(text) {
		s, name, err := parseSegment(part)
		if err != nil {
			return t, err
		}
		if name != "" && slices.Contains(used, name) {
			return t, fmt.Errorf("has {%s} twice", name)
		}
		used = append(used, name)
		t.segments = append(t.segments, s)
	}
	if slices.Contains(used, "agent_type") == (t.agentType != "") {
		return t, errors.New("must have either {agent_type} or begin with the type, e.g. agent=/v1/bots/{agent_id}")
	}
	return t, nil
}

func parseSegment(text string) (s segment, name string, err error) {
	before, rest, found := strings.Cut(text, "{")
	if !found {
		if text == "" || strings.Contains(text, "}") {
			return s, "", fmt.Errorf("the segment %q is empty, or has a } without {", text)
		}
		return segment{before: text}, "", nil
	}
	name, after, closed := strings.Cut(rest, "}")
	set := placeholders[name]
	if !closed || set == nil || strings.ContainsAny(after, "{}") {
		return s, "", fmt.Errorf("the segment %q must have one of {workspace_id}, {agent_type} and {agent_id}", text)
	}
	return segment{before, after, set}, name, nil
}

// Match reads a path, as it was sent: percent-encoded, and with or without a query. It reports false if no template matches.
//
// Nor does it match a path that the service behind may read in another way than Keytrail, which would check another agent than the
// called one: with an empty segment, ., .., a backslash or a #, with an encoded slash, or with a control character.
func (ts Templates) Match(path string) (Call, bool) {
	segments, ok := split(path)
	if !ok {
		return Call{}, false
	}
	for _, t := range ts {
		if call, ok := t.match(segments); ok {
			return call, true
		}
	}
	return Call{}, false
}

// split returns the decoded segments of a path.
func split(path string) ([]string, bool) {
	path, _, _ = strings.Cut(path, "?")
	// Some servers take a # for the end of the path, and others for a part of it. No path has one (RFC 9112, section 3.2).
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "#") {
		return nil, false
	}
	segments := segmentsOf(path)
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		// Some servers remove what follows a semicolon before they look for dots.
		name, _, _ := strings.Cut(decoded, ";")
		if err != nil || !utf8.ValidString(decoded) || name == "" || name == "." || name == ".." || strings.ContainsFunc(decoded, ambiguous) {
			return nil, false
		}
		segments[i] = decoded
	}
	return segments, true
}

// segmentsOf returns the segments of a path that begins with a slash; none of the root.
func segmentsOf(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(path[1:], "/"), "/")
}

// ambiguous reports whether servers differ in how they read a character of a segment.
func ambiguous(r rune) bool { return r == '/' || r == '\\' || r < ' ' || r == 0x7f }

func (t template) match(segments []string) (Call, bool) {
	call := Call{AgentType: t.agentType}
	if len(segments) < len(t.segments) {
		return call, false
	}
	for i, s := range t.segments {
		if !s.match(segments[i], &call) {
			return call, false
		}
	}
	return call, true
}

func (s segment) match(text string, call *Call) bool {
	if s.set == nil {
		return text == s.before
	}
	value, found := strings.CutPrefix(text, s.before)
	value, ends := strings.CutSuffix(value, s.after)
	if !found || !ends || value == "" {
		return false
	}
	s.set(call, value)
	return true
}
