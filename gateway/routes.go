package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// route is one REST route of the contract.
type route struct {
	// rpc is the full name of its method.
	rpc    string
	method string
	path   *regexp.Regexp
	// query and body report whether fields are read from there. grpc-gateway ignores the other one.
	query, body bool
}

// routes are the routes of the contract, by method and pattern as grpc-gateway writes them.
type routes map[string]route

// readRoutes returns the routes of both services.
func readRoutes() (routes, error) {
	read := routes{}
	for _, file := range []protoreflect.FileDescriptor{
		authv1.File_keytrail_auth_v1_check_service_proto,
		authv1.File_keytrail_auth_v1_key_service_proto,
		authv1.File_keytrail_auth_v1_session_service_proto,
		logsv1.File_keytrail_logs_v1_log_service_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if err := read.add(methods.Get(j)); err != nil {
					return nil, fmt.Errorf("%s: %w", methods.Get(j).FullName(), err)
				}
			}
		}
	}
	return read, nil
}

// pathField is a field in the template of a path.
var pathField = regexp.MustCompile(`\{([a-z0-9_.]+)\}`)

// add adds the routes of an RPC, if it has any.
func (rs routes) add(method protoreflect.MethodDescriptor) error {
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	for _, rule := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		verb, template := binding(rule)
		pattern := pathField.ReplaceAllString(template, "{$1=*}")
		if verb == "" || strings.Count(pattern, "{") != strings.Count(pattern, "=*}") || strings.Contains(pattern, "**") {
			return fmt.Errorf("unknown form of a route: %v", rule)
		}
		elsewhere := map[string]bool{rule.GetBody(): rule.GetBody() != ""}
		for _, field := range pathField.FindAllStringSubmatch(template, -1) {
			elsewhere[field[1]] = true
		}
		made := route{
			rpc:    fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name()),
			method: verb, path: matcher(template), body: rule.GetBody() != "",
		}
		for i := range method.Input().Fields().Len() {
			name := string(method.Input().Fields().Get(i).Name())
			made.query = made.query || rule.GetBody() != "*" && !elsewhere[name]
		}
		rs[verb+" "+pattern] = made
	}
	return nil
}

// binding returns the HTTP method and the path of a rule; empty if the kind is unknown.
func binding(rule *annotations.HttpRule) (method, template string) {
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, pattern.Get
	case *annotations.HttpRule_Post:
		return http.MethodPost, pattern.Post
	case *annotations.HttpRule_Put:
		return http.MethodPut, pattern.Put
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, pattern.Patch
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, pattern.Delete
	}
	return "", ""
}

// matcher returns an expression that matches the paths of a template.
func matcher(template string) *regexp.Regexp {
	literals := pathField.Split(template, -1)
	for i, literal := range literals {
		literals[i] = regexp.QuoteMeta(literal)
	}
	return regexp.MustCompile("^" + strings.Join(literals, "[^/]*") + "$")
}

// services returns the RPCs of the routes, as a gRPC server lists them.
func (rs routes) services() map[string]grpc.ServiceInfo {
	services := map[string]grpc.ServiceInfo{}
	for _, route := range rs {
		service, method, _ := strings.Cut(strings.TrimPrefix(route.rpc, "/"), "/")
		info := services[service]
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: method})
		services[service] = info
	}
	return services
}

// of returns the route of a request.
func (rs routes) of(r *http.Request) route {
	pattern, _ := runtime.HTTPPattern(r.Context())
	return rs[r.Method+" "+pattern.String()]
}

// refuseIgnored refuses requests with a query or a body that their route ignores: a DELETE with an etag in its body must not
// delete unconditionally.
func (rs routes) refuseIgnored(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if err := rs.of(r).check(r); err != nil {
			writeFault(w, r, err)
			return
		}
		next(w, r, params)
	}
}

// check returns the fault of a request with something that the route ignores.
func (t route) check(r *http.Request) error {
	name, err := firstParameter(r.URL.RawQuery)
	switch {
	case !t.query && err != nil:
		return fault.New(fault.RequestMalformed, "the query is malformed")
	case !t.query && name != "" && t.body:
		return fault.New(fault.RequestMalformed, "%s: unknown query parameter; the fields of this request are in its body", name)
	case !t.query && name != "":
		return fault.New(fault.RequestMalformed, "%s: unknown query parameter", name)
	case !t.body && r.ContentLength != 0: // -1 = unknown length
		return fault.New(fault.RequestMalformed, "%s has no body here: fields are in the path and the query", r.Method)
	}
	return nil
}

// firstParameter returns the alphabetically first name of a query parameter; empty if there is none.
func firstParameter(query string) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil || len(values) == 0 {
		return "", err
	}
	// A parameter without a name is shown by its value.
	name := slices.Min(slices.Collect(maps.Keys(values)))
	if name == "" {
		name = "=" + values.Get("")
	}
	return strings.ToValidUTF8(name, "\uFFFD"), nil
}

// allowed returns the methods of a path for the Allow header.
func (rs routes) allowed(path string) string {
	methods := map[string]bool{}
	for _, route := range rs {
		if route.path.MatchString(path) {
			methods[route.method] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
}
