package main

import (
	"cmp"
	"regexp"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// code is a name in a comment, perhaps with its message: `report_token`, `RequestLog.call_count`.
var code = regexp.MustCompile("`([A-Za-z]+\\.)?[a-z0-9_]+`")

// word is a name in a text that has no quotes.
var word = regexp.MustCompile(`[a-z0-9]+(_[a-z0-9]+)+`)

// otherSpelling is a remark of the contract on the names of fields that makes no sense where they all have those of JSON.
const otherSpelling = "; also as JSON spells them"

var sentenceEnd = regexp.MustCompile(`\.\s+`)

// prose returns the comment of a part of the contract as a text for readers of the document: each paragraph and each
// point of a list is one line, and fields have the names that JSON gives them.
func (c *contract) prose(of protoreflect.Descriptor) string {
	comment := of.ParentFile().SourceLocations().ByDescriptor(of).LeadingComments
	comment = strings.TrimSpace(strings.ReplaceAll("\n"+comment, "\n ", "\n"))
	var paragraphs []string
	for paragraph := range strings.SplitSeq(comment, "\n\n") {
		points := strings.Split(paragraph, "\n- ")
		for i, point := range points {
			points[i] = strings.ReplaceAll(point, "\n", " ")
		}
		paragraphs = append(paragraphs, strings.Join(points, "\n- "))
	}
	text := strings.ReplaceAll(strings.Join(paragraphs, "\n\n"), otherSpelling, "")
	return code.ReplaceAllStringFunc(text, c.jsonWords)
}

// jsonWords spells the fields that a text names as JSON does.
func (c *contract) jsonWords(text string) string {
	return word.ReplaceAllStringFunc(text, func(name string) string { return cmp.Or(c.jsonNames[name], name) })
}

// summarize splits the text of an RPC into its first sentence, without the name that comments begin with and without
// the full stop, and the rest.
func summarize(text string) (summary, rest string) {
	summary = text
	if end := sentenceEnd.FindStringIndex(text); end != nil {
		summary, rest = text[:end[0]], text[end[1]:]
	}
	_, summary, _ = strings.Cut(strings.TrimSuffix(summary, "."), " ")
	if summary == "" {
		return "", rest
	}
	return strings.ToUpper(summary[:1]) + summary[1:], rest
}
