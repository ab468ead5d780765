// Command authz answers Envoy's ext_authz (gRPC v3) by the same Rego as the gateway, with OPA as a library in one process: what
// opa-envoy-plugin does, without decision logs. It stands in for the plugin where only the policy itself is to be compared.
//
//	authz --listen 127.0.0.1:9000 --policies ./policies --tenant acme --tool ledger --scope 'ledger:*'
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/rego"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

const query = "data.killcord.authz.decision"

// Caller is whose calls they are: the gateway reads it from a lease, this program is told once.
type caller struct{ tenant, tool, scope string }

type authorizer struct {
	auth.UnimplementedAuthorizationServer
	policy rego.PreparedEvalQuery
	caller caller
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "address to listen on")
	policies := flag.String("policies", "policies", "folder of the Rego files")
	var who caller
	flag.StringVar(&who.tenant, "tenant", "acme", "the run's tenant")
	flag.StringVar(&who.tool, "tool", "ledger", "the tool's name")
	flag.StringVar(&who.scope, "scope", "ledger:*", "the lease's scope")
	flag.Parse()
	if err := serve(*listen, *policies, who); err != nil {
		log.Fatal(err)
	}
}

func serve(listen, policies string, who caller) error {
	policy, err := rego.New(rego.Query(query), rego.Load([]string{policies}, nil)).PrepareForEval(context.Background())
	if err != nil {
		return err
	}
	socket, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	auth.RegisterAuthorizationServer(server, &authorizer{policy: policy, caller: who})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() { <-stop; server.Stop() }()
	return server.Serve(socket)
}

// Check allows what the policy allows with an allow that is exactly true and without conditions.
func (a *authorizer) Check(ctx context.Context, asked *auth.CheckRequest) (*auth.CheckResponse, error) {
	input, err := a.document(asked.GetAttributes().GetRequest().GetHttp(), time.Now())
	if err != nil {
		return denied(err.Error()), nil
	}
	results, err := a.policy.Eval(ctx, rego.EvalInput(input))
	if err != nil {
		return denied(err.Error()), nil
	}
	if !allowed(results) {
		return denied("policy denies it"), nil
	}
	return &auth.CheckResponse{
		Status:       &status.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}},
	}, nil
}

func allowed(results rego.ResultSet) bool {
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return false
	}
	decision, _ := results[0].Expressions[0].Value.(map[string]any)
	obligations, _ := decision["obligations"].(map[string]any)
	return decision["allow"] == true && len(obligations) == 0
}

func denied(why string) *auth.CheckResponse {
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(codes.PermissionDenied), Message: why},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &envoytype.HttpStatus{Code: envoytype.StatusCode_Forbidden},
			Body:   why,
			Headers: []*core.HeaderValueOption{
				{Header: &core.HeaderValue{Key: "content-type", Value: "text/plain"}},
			},
		}},
	}
}

// document is the input that the gateway would ask about the same call (policies/schemas/input.json).
func (a *authorizer) document(http *auth.AttributeContext_HttpRequest, now time.Time) (map[string]any, error) {
	parts := strings.Split(strings.TrimPrefix(http.GetPath(), "/"), "/")
	if len(parts) < 4 || parts[0] != "v1" || parts[1] != "tenants" {
		return nil, errors.New("no such action")
	}
	args, err := arguments(http)
	if err != nil {
		return nil, err
	}
	id := ""
	if len(parts) > 4 {
		id = parts[4]
	}
	kind := strings.TrimSuffix(parts[3], "s")
	tool, tenant := a.caller.tool, a.caller.tenant
	return map[string]any{
		"lease": map[string]any{"scopes": []any{a.caller.scope}, "generation": 1, "expires_at": now.Add(time.Hour).UnixNano()},
		"run": map[string]any{
			"run_id": "run_1", "workflow_id": "run_1", "tenant": tenant, "agent_id": "bench", "task_class": "default",
			"mode": "active", "opened_at": now.Add(-time.Minute).UnixNano(),
		},
		"agent":    map[string]any{"id": "bench"},
		"tenant":   tenant,
		"step":     map[string]any{"id": "auto-1"},
		"tool":     tool,
		"action":   action(http.GetMethod(), kind),
		"target":   map[string]any{"system": tool, "type": kind, "id": id, "tenant": parts[2]},
		"args":     args,
		"http":     map[string]any{"method": http.GetMethod(), "path": http.GetPath(), "query": map[string]any{}},
		"counters": map[string]any{},
		"now":      now.UnixNano(),
	}, nil
}

func action(method, kind string) map[string]any {
	switch method {
	case "GET":
		return map[string]any{"name": kind + ".read", "effect": "read", "fanout": false}
	case "POST":
		return map[string]any{"name": kind + ".create", "effect": "write", "class": "compensatable", "fanout": false}
	default:
		return map[string]any{"name": kind + ".update", "effect": "write", "class": "reversible", "fanout": false}
	}
}

func arguments(http *auth.AttributeContext_HttpRequest) (any, error) {
	body := http.GetRawBody()
	if len(body) == 0 {
		body = []byte(http.GetBody())
	}
	if len(body) == 0 {
		return nil, nil
	}
	var args any
	err := json.Unmarshal(body, &args)
	return args, err
}
