/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roles and bindings that every cluster has, as Kubernetes has them, in a short form: rules are separated by ';',
 * a rule is "VERBS GROUPS RESOURCES [NAMES]" or "VERBS url PATHS", lists by comma, "core" for the core group. read
 * and write stand for the verbs that read and write.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "authz.h"

#define READ	    "get,list,watch"
#define WRITE	    "create,delete,deletecollection,patch,update"
#define EVENTS	    "create,patch,update core,events.k8s.io events;"
#define REVIEWS	    "create authentication.k8s.io tokenreviews;create authorization.k8s.io subjectaccessreviews;"
#define CERTS	    "certificates.k8s.io"
#define AGGREGATE   "rbac.authorization.k8s.io/aggregate-to-"
#define APPROVES(s) "approve " CERTS " signers kubernetes.io/" s ";"

/* Nodes get these without a binding, from the node authorizer, which looks closer at some of them. */
const char rbac_node_policy[] = REVIEWS
	"create authorization.k8s.io localsubjectaccessreviews;" READ " core services,namespaces;"
	"create," READ " core nodes;"
	"patch,update core nodes,nodes/status;" EVENTS "create,delete," READ " core pods;"
	"get,patch,update core pods/status;"
	"create core pods/eviction;" READ " core secrets,configmaps;"
	"get core persistentvolumeclaims,persistentvolumes,serviceaccounts;"
	"get,patch,update core persistentvolumeclaims/status;"
	"create core serviceaccounts/token;"
	"create," READ " " CERTS " certificatesigningrequests;"
	"create,delete,get,patch,update coordination.k8s.io leases;"
	"get storage.k8s.io volumeattachments;" READ " storage.k8s.io csidrivers;"
	"create,get,patch,update skep.io nodedataplanes,nodedataplanes/status;"
	"create,delete,get,patch,update storage.k8s.io csinodes;" READ " node.k8s.io runtimeclasses;" READ
	" discovery.k8s.io endpointslices;" READ " networking.k8s.io networkpolicies;"
	"get url /api,/api/*,/apis,/apis/*,/openapi,/openapi/*,/version,/version/";

static const char to_view[] = READ
	" core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,"
	"replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status;" READ
	" core bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,"
	"resourcequotas,resourcequotas/status;" READ " core namespaces;" READ " discovery.k8s.io endpointslices;" READ
	" apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,"
	"replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status;" READ
	" autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status;" READ
	" batch cronjobs,cronjobs/status,jobs,jobs/status;" READ
	" policy poddisruptionbudgets,poddisruptionbudgets/status;" READ
	" networking.k8s.io ingresses,ingresses/status,networkpolicies;" READ " metrics.k8s.io pods,nodes";

static const char to_edit[] = READ
	" core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy;"
	"impersonate core serviceaccounts;" WRITE " core pods,pods/attach,pods/exec,pods/portforward,pods/proxy;"
	"create core pods/eviction;" WRITE
	" core configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,"
	"serviceaccounts,services,services/proxy;"
	"create core serviceaccounts/token;" WRITE
	" apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,"
	"statefulsets,statefulsets/scale;" WRITE " autoscaling horizontalpodautoscalers;" WRITE
	" batch cronjobs,jobs;" WRITE " policy poddisruptionbudgets;" WRITE
	" networking.k8s.io ingresses,networkpolicies;" WRITE "," READ " coordination.k8s.io leases";

static const char to_admin[] = "create authorization.k8s.io localsubjectaccessreviews;" WRITE "," READ " " RBAC_GROUP
			       " rolebindings,roles";

static const char scheduler[] = EVENTS
	"create," READ " coordination.k8s.io leases;"
	"get,patch,update coordination.k8s.io leases kube-scheduler,skep-scheduler;" READ " core nodes;"
	"delete," READ " core pods;"
	"create core bindings,pods/binding;"
	"patch,update core pods/status;" READ " core namespaces,replicationcontrollers,services;" READ
	" apps replicasets,statefulsets;" READ " policy poddisruptionbudgets;" READ
	" core persistentvolumeclaims,persistentvolumes;" READ " storage.k8s.io *;" REVIEWS;

/*
 * One identity for all controllers. Collecting garbage and emptying namespaces concern every kind there is; what they
 * create is listed.
 */
static const char controllers[] = EVENTS REVIEWS
	"delete,deletecollection,patch,update," READ " * *;"
	"create coordination.k8s.io leases;"
	"create core pods,endpoints,secrets,serviceaccounts,serviceaccounts/token,configmaps,persistentvolumes,"
	"persistentvolumeclaims,pods/eviction,pods/binding;"
	"create apps replicasets,controllerrevisions;"
	"create batch jobs;"
	"create discovery.k8s.io endpointslices;"
	"approve,sign " CERTS " signers;"
	"create " CERTS " certificatesigningrequests;"
	"create storage.k8s.io volumeattachments";

struct role {
	const char *name, *rules, *label, *selector; /* label: aggregated to that role; selector: is that role */
};
static const struct role roles[] = {
	{ "cluster-admin", "* * *;* url *", NULL, NULL },
	{ "admin", NULL, NULL, "admin" },
	{ "edit", NULL, "admin", "edit" },
	{ "view", NULL, "edit", "view" },
	{ "system:aggregate-to-admin", to_admin, "admin", NULL },
	{ "system:aggregate-to-edit", to_edit, "edit", NULL },
	{ "system:aggregate-to-view", to_view, "view", NULL },
	{ "system:discovery",
	  "get url /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/", NULL,
	  NULL },
	{ "system:public-info-viewer", "get url /healthz,/livez,/readyz,/version,/version/", NULL, NULL },
	{ "system:monitoring", "get url /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*",
	  NULL, NULL },
	{ "system:basic-user",
	  "create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews;"
	  "create authentication.k8s.io selfsubjectreviews",
	  NULL, NULL },
	{ "system:auth-delegator", REVIEWS, NULL, NULL },
	{ "system:service-account-issuer-discovery",
	  "get url /.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,"
	  "/openid/v1/jwks/",
	  NULL, NULL },
	{ "system:kube-scheduler", scheduler, NULL, NULL },
	{ "system:kube-controller-manager", controllers, NULL, NULL },
	{ "system:node", rbac_node_policy, NULL, NULL },
	{ "system:node-bootstrapper", "create,get,list,watch " CERTS " certificatesigningrequests", NULL, NULL },
	{ "system:node-problem-detector", "get core nodes;patch core nodes/status;" EVENTS, NULL, NULL },
	{ "system:node-proxier",
	  "list,watch core endpoints,services;" READ " core nodes;" EVENTS "list,watch discovery.k8s.io endpointslices",
	  NULL, NULL },
	{ "system:kubelet-api-admin", READ ",proxy core nodes;* core nodes/log,nodes/metrics,nodes/proxy,nodes/stats",
	  NULL, NULL },
	{ "system:kube-dns", "list,watch core endpoints,services;list,watch discovery.k8s.io endpointslices", NULL,
	  NULL },
	{ "system:persistent-volume-provisioner",
	  "create,delete," READ " core persistentvolumes;" READ ",update core persistentvolumeclaims;" READ
	  " storage.k8s.io storageclasses;watch core events;" EVENTS,
	  NULL, NULL },
	{ "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
	  "create " CERTS " certificatesigningrequests/nodeclient", NULL, NULL },
	{ "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
	  "create " CERTS " certificatesigningrequests/selfnodeclient", NULL, NULL },
	{ "system:certificates.k8s.io:legacy-unknown-approver", APPROVES("legacy-unknown"), NULL, NULL },
	{ "system:certificates.k8s.io:kubelet-serving-approver", APPROVES("kubelet-serving"), NULL, NULL },
	{ "system:certificates.k8s.io:kube-apiserver-client-approver", APPROVES("kube-apiserver-client"), NULL, NULL },
	{ "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
	  APPROVES("kube-apiserver-client-kubelet"), NULL, NULL },
};

/* subjects: "User:x Group:y ServiceAccount:ns/z" with names free of spaces */
static const struct {
	const char *name, *role, *subjects;
} bindings[] = {
	{ "cluster-admin", "cluster-admin", "Group:system:masters" },
	{ "system:monitoring", "system:monitoring", "Group:system:monitoring" },
	{ "system:discovery", "system:discovery", "Group:system:authenticated" },
	{ "system:public-info-viewer", "system:public-info-viewer",
	  "Group:system:authenticated Group:system:unauthenticated" },
	{ "system:basic-user", "system:basic-user", "Group:system:authenticated" },
	{ "system:kube-scheduler", "system:kube-scheduler", "User:system:kube-scheduler" },
	{ "system:kube-controller-manager", "system:kube-controller-manager", "User:system:kube-controller-manager" },
	{ "system:node-proxier", "system:node-proxier", "User:system:kube-proxy" },
	{ "system:kube-dns", "system:kube-dns", "ServiceAccount:kube-system/kube-dns" },
	{ "system:service-account-issuer-discovery", "system:service-account-issuer-discovery",
	  "Group:system:serviceaccounts" },
	/* Not Kubernetes' own but its installers': who holds a bootstrap token may ask for a node's certificate. */
	{ "skep:node-bootstrapper", "system:node-bootstrapper", "Group:system:bootstrappers" },
	{ "system:node", "system:node", "" }, /* the node authorizer's work, as in Kubernetes */
};

#define N_ROLES	   (sizeof(roles) / sizeof(roles[0]))
#define N_BINDINGS (sizeof(bindings) / sizeof(bindings[0]))

static json_t *words(char *text)
{
	json_t *list = json_array();
	char *save = NULL;

	for (char *w = strtok_r(text, ",", &save); w; w = strtok_r(NULL, ",", &save))
		json_array_append_new(list, json_string(streq(w, "core") ? "" : w));
	return list;
}

static json_t *policy_rule(char *text)
{
	char *save = NULL, *verbs = strtok_r(text, " ", &save), *groups = verbs ? strtok_r(NULL, " ", &save) : NULL;
	char *what = groups ? strtok_r(NULL, " ", &save) : NULL, *names = what ? strtok_r(NULL, " ", &save) : NULL;
	json_t *rule;

	if (!what)
		return NULL;
	if (streq(groups, "url"))
		return json_pack("{s:o,s:o}", "nonResourceURLs", words(what), "verbs", words(verbs));
	rule = json_pack("{s:o,s:o}", "apiGroups", words(groups), "resources", words(what));
	if (rule && names)
		json_object_set_new(rule, "resourceNames", words(names));
	if (rule)
		json_object_set_new(rule, "verbs", words(verbs));
	return rule;
}

json_t *rbac_policy(const char *text)
{
	cleanup(free) char *copy = strdup(text);
	json_t *rules = json_array();
	char *save = NULL;

	if (!copy || !rules) {
		json_decref(rules);
		return NULL;
	}
	for (char *r = strtok_r(copy, ";", &save); r; r = strtok_r(NULL, ";", &save)) {
		json_t *rule = policy_rule(r);

		if (!rule || json_array_append_new(rules, rule) < 0) {
			json_decref(rules);
			return NULL;
		}
	}
	return rules;
}

static json_t *head(const char *kind, const char *name)
{
	return json_pack("{s:s,s:s,s:{s:s,s:{s:s},s:{s:s}}}", "kind", kind, "apiVersion", RBAC_GROUP "/v1", "metadata",
			 "name", name, "labels", "kubernetes.io/bootstrapping", "rbac-defaults", "annotations",
			 "rbac.authorization.kubernetes.io/autoupdate", "true");
}

static json_t *role_object(const struct role *r)
{
	json_t *obj = head("ClusterRole", r->name), *rules = r->rules ? rbac_policy(r->rules) : json_array();
	char label[96];

	if (!obj || !rules || json_object_set_new(obj, "rules", rules) < 0) {
		json_decref(obj);
		return NULL;
	}
	if (r->label) {
		snprintf(label, sizeof(label), AGGREGATE "%s", r->label);
		json_object_set_new(api_get(obj, "metadata.labels"), label, json_string("true"));
	}
	if (r->selector) {
		snprintf(label, sizeof(label), AGGREGATE "%s", r->selector);
		json_object_set_new(obj, "aggregationRule",
				    json_pack("{s:[{s:{s:s}}]}", "clusterRoleSelectors", "matchLabels", label, "true"));
	}
	return obj;
}

static json_t *binding_object(const char *name, const char *role, const char *subjects)
{
	json_t *obj = head("ClusterRoleBinding", name), *list = json_array();
	cleanup(free) char *copy = strdup(subjects);
	char *save = NULL;

	if (!obj || !list || !copy) {
		json_decref(obj);
		json_decref(list);
		return NULL;
	}
	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		char *who = strchr(s, ':'), *slash;

		*who++ = '\0';
		slash = streq(s, "ServiceAccount") ? strchr(who, '/') : NULL;
		if (slash) {
			*slash = '\0';
			json_array_append_new(
				list, json_pack("{s:s,s:s,s:s}", "kind", s, "name", slash + 1, "namespace", who));
		} else {
			json_array_append_new(
				list, json_pack("{s:s,s:s,s:s}", "kind", s, "apiGroup", RBAC_GROUP, "name", who));
		}
	}
	json_object_set_new(obj, "subjects", list);
	json_object_set_new(obj, "roleRef",
			    json_pack("{s:s,s:s,s:s}", "apiGroup", RBAC_GROUP, "kind", "ClusterRole", "name", role));
	return obj;
}

json_t *rbac_default_object(int i, const char **ret_plural, const char **ret_ns)
{
	*ret_ns = "";
	if (i < (int)N_ROLES) {
		*ret_plural = "clusterroles";
		return role_object(&roles[i]);
	}
	i -= (int)N_ROLES;
	if (i >= (int)N_BINDINGS)
		return NULL;
	*ret_plural = "clusterrolebindings";
	return binding_object(bindings[i].name, bindings[i].role, bindings[i].subjects);
}
