/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the API server's files share. Three things live here: struct apiserver (the process), struct resource (the
 * cache of one kind: its objects, its recent events, its watchers) and struct call (one request on its way to an
 * answer).
 */
#ifndef SKEP_APISERVER_INTERNAL_H
#define SKEP_APISERVER_INTERNAL_H

#include <jansson.h>
#include <stdint.h>

#include "../../lib/api/api.h"
#include "../../lib/base/list.h"
#include "../../lib/base/strbuf.h"
#include "../../lib/base/strmap.h"
#include "../../lib/io/http_client.h"
#include "../../lib/io/http_server.h"
#include "../../lib/io/metrics.h"
#include "../store/store.h"
#include "apiserver.h"
#include "audit.h"
#include "flowcontrol.h"

struct call;
typedef void call_fn(struct call *c);

/* --- cache.c: objects as bytes ------------------------------------------------------------------------------------ */

/* One state of one object, shared by the cache, the event ring and readers. Immutable. */
struct object {
	unsigned refs;
	int64_t rev;
	struct http_buf *json; /* as clients see it, with resourceVersion */
	json_t *index;	       /* metadata's name, namespace and labels, and the selectable fields */
	const char *name;      /* within key */
	char key[];	       /* "namespace/name" or "name" */
};
struct object *object_ref(struct object *o);
void object_unref(struct object *o);
static inline void object_unrefp(struct object **o)
{
	object_unref(*o);
}

enum watch_type { WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED, WATCH_N_TYPES };

/* cur NULL: deletion; prev NULL: creation. */
struct event {
	int64_t rev;
	struct object *cur, *prev;
	struct encoding *encodings; /* watch_encode.c: each made when first asked for, then shared by all watchers */
};

struct watcher;
/*
 * One version of one kind. Those of built-in kinds live as long as the server; those of custom ones come and go
 * (cache_custom.c): one that goes is retired, which ends its watches, and is freed once no call refers to it.
 */
struct resource {
	struct apiserver *s;
	const struct api_kind *kind;
	struct api_custom *custom; /* owned; holds the kind's tables. NULL: built in */
	struct resource *sibling;  /* next version of the same objects; each keeps its own picture of them */
	struct resource *view_of;  /* view.c: what this is another form of; NULL: it is stored itself */
	bool active;		   /* a view that is kept up to date */
	bool hidden;		   /* a version that is not served: only kept to know the objects */
	bool retired;
	struct list retired_link;
	struct custom_load *load; /* its objects are being read; NULL: they are there */
	char api_version[96];
	char prefix[160]; /* in the store: "/apps/deployments/" */
	char head[192];	  /* every value starts so: {"kind":"Deployment","apiVersion":"apps/v1","metadata":{ */
	size_t head_len;
	char store_version[96]; /* apiVersion of what goes into the store */
	struct object **objs;	/* ascending by key */
	size_t n, cap;
	struct event *ring; /* ring_cap events, oldest at ring_first */
	size_t ring_cap, ring_first, ring_n, ring_bytes;
	int64_t ring_from;    /* every event after this revision is in the ring */
	int64_t ring_dropped; /* revision of the last event that left it */
	struct list watchers;
	size_t n_watchers;
	void (*on_change)(struct resource *r, const struct object *cur,
			  const struct object *prev); /* allocators; may be NULL */
};

int cache_init(struct apiserver *s, struct err *err);
void cache_done(struct apiserver *s);  /* after the store is closed */
void cache_start(struct apiserver *s); /* reads the store, then follows it */
/* The preferred version; cache_version(): that one. NULL: not served. */
struct resource *cache_resource(struct apiserver *s, const char *group, const char *plural);
struct resource *cache_version(struct apiserver *s, const char *group, const char *version, const char *plural);
struct resource *resource_new(struct apiserver *s, const struct api_kind *kind);
static inline bool resource_followed(const struct resource *r)
{
	return !r->view_of || r->active;
}
void resource_free(struct resource *r); /* without its objects: resource_clear() first */
void resource_clear(struct resource *r);
/* Puts o (NULL: deletes) in place of key; *ret_prev gets the reference that was held. */
int resource_put(struct resource *r, const char *key, struct object *o, struct object **ret_prev);

/*
 * cache_custom.c. Versions of one custom kind, all at once (NULL-terminated; each is stolen, whatever happens): they
 * take the place of those that were served under group and plural. Their objects are read unless the whole cache is
 * being read. versions NULL: the kind goes.
 */
int cache_set_custom(struct apiserver *s, const char *group, const char *plural, struct resource **versions);
void cache_load_event(struct resource *r, const char *key, struct object *o, int64_t rev);
void cache_load_check(struct apiserver *s); /* after the cache has got further */
void cache_reap(struct apiserver *s);	    /* after a call is gone: frees what nothing refers to any more */
int cache_kinds_changed(struct apiserver *s);
void cache_load_cancel(struct resource *r);
/* fn once the objects of c->res are there; answers itself when they do not come, or c->res goes. */
void cache_wait_loaded(struct call *c, int timeout_ms, call_fn *fn);
/* Borrowed; NULL if absent. ns NULL: cluster-scoped. */
struct object *cache_get(const struct resource *r, const char *ns, const char *name);
size_t cache_lower_bound(const struct resource *r, const char *key);
/* Value as stored + its revision. NULL: out of memory or not an object. */
struct object *object_new(const struct resource *r, const char *key, const void *value, size_t len, int64_t rev);
/* The object's JSON with another resourceVersion (deletions carry the revision of the deletion). */
struct http_buf *object_json_at(const struct resource *r, const struct object *o, int64_t rev);
/* What goes into the store: fixed head first, no resourceVersion. 0 or -ENOMEM. obj loses metadata.resourceVersion. */
int object_encode(const struct resource *r, json_t *obj, const struct strbuf *managed, struct strbuf *out);
/* The event of index i in the ring, oldest first. */
static inline struct event *ring_at(const struct resource *r, size_t i)
{
	return &r->ring[(r->ring_first + i) % r->ring_cap];
}

/* view.c: built-in kinds that are another form of a stored one */
void view_link(struct resource *view);	  /* at the start, when what it is a form of is there */
int view_activate(struct resource *view); /* before the first look at it; 0 also if it is no view */
json_t *view_of_stored(const struct resource *r, json_t *stored); /* steals; as it is if r is no view */
int view_settle(struct call *c);				  /* c->obj becomes what reading it will show */
int view_encode(struct call *c, struct strbuf *out);		  /* c->obj as it is stored */
int view_old(struct call *c); /* c->old as stored becomes c->stored, and c->old the view */

/* --- the process -------------------------------------------------------------------------------------------------- */

struct cidr {
	int family; /* AF_INET, AF_INET6; 0: none */
	unsigned char base[16];
	int len;
};
struct ipalloc;
struct portalloc;
struct hook_clients;
struct authn;

struct apiserver {
	struct loop *loop;
	struct apiserver_config config;
	struct store *store;
	bool single_writer; /* embedded store: what we acknowledged is all there is */
	struct http_server *http;
	struct http_client_config kubelet;
	int ports[APISERVER_MAX_LISTEN];
	int n_ports;

	struct resource **resources;
	size_t n_resources;
	struct list retired;	    /* resources that calls may still refer to */
	struct strmap *by_prefix;   /* "/apps/deployments/" -> struct resource *, further versions by ->sibling */
	struct strmap *by_plural;   /* "apps/deployments" -> struct resource *, preferred version */
	struct strmap *by_version;  /* "apps/v1/deployments" -> struct resource * */
	struct api_kinds kinds;	    /* what is served, for discovery; owned */
	struct strmap *definitions; /* crd.c: by name, struct definition * */
	bool loading_definitions;   /* the first part of a load */
	int64_t rev;		    /* the cache has every event up to here */
	int64_t written_rev;	    /* highest revision acknowledged to us */
	bool loaded;
	struct store_watch *feed;
	struct loop_timer feed_retry;
	struct strbuf load_from; /* next key of a load in progress */
	int64_t load_rev;
	int64_t history_from;	     /* first revision of the events fetched for the rings; 0: none are being fetched */
	struct list waiters;	     /* calls waiting for the cache, by wait_link */
	struct list account_waiters; /* admission_service_account.c */
	uint32_t admission_off;	     /* plugins that are switched off, a bit each in their order */
	bool bootstrapped;
	int n_passed; /* sockets of LISTEN_FDS not served yet */
	struct loop_timer bootstrap_timer;
	int bootstrap_step;

	struct ipalloc *ips;
	struct portalloc *node_ports;
	struct hook_clients *hooks; /* webhook_client.c; NULL until the first call */
	struct authz *authz;
	struct authn *authn;
	struct store_care *care;	     /* store_care.c */
	int64_t event_lease, event_lease_ms; /* events put now go away with this lease; when it was granted */
	struct loop_timer health_timer;
	bool store_ok;
	char store_error[256];

	struct flow *flow;	    /* flowcontrol.c */
	struct audit *audit;	    /* NULL: no audit log */
	struct document *documents; /* openapi.c */
	struct list calls;	    /* every struct call alive */
	size_t n_calls;
	bool stopping;
	void (*stopped_fn)(void *arg);
	void *stopped_arg;

	struct metric *m_requests, *m_seconds, *m_watchers, *m_store, *m_objects, *m_events;
};

/* --- call.c: one request ------------------------------------------------------------------------------------------ */

#define MAX_GROUPS 32
#define MAX_EXTRA  32
struct identity_extra {
	const char *key, *value;
};
struct identity {
	const char *user;    /* "system:anonymous" for who shows neither a certificate nor a token */
	const char *uid;     /* NULL: unknown */
	const char **groups; /* n_groups, at most MAX_GROUPS */
	size_t n_groups;
	const struct identity_extra *extra; /* a key with several values comes several times */
	size_t n_extra;
	bool authenticated;
	void *mem; /* holds extra, groups and the strings: a call outlives its connection */
};

enum repr { REPR_JSON, REPR_TABLE, REPR_META, REPR_YAML, REPR_PROTOBUF, REPR_META_PROTOBUF };
#define PROTOBUF_TYPE "application/vnd.kubernetes.protobuf"
#define META_V1	      "meta.k8s.io/v1"

/*
 * What a change() decides: write c->obj, delete the key, leave things (answer with the present object), or it has
 * answered.
 */
enum change { CHANGE_WRITE, CHANGE_DELETE, CHANGE_NONE, CHANGE_ANSWERED };

struct call {
	struct apiserver *s;
	struct http_req *req; /* NULL: the client is gone, or an inner call */
	unsigned refs;
	bool answered;
	struct list link;
	uint64_t start_ns;
	struct identity who;
	struct identity *real; /* who impersonates `who`; NULL: nobody */
	call_fn *authn_then;
	bool authn_again; /* the cache has been waited for on behalf of a token */

	struct flow_ticket flow;
	struct audit_ticket *audit;

	/* what is asked */
	const char *verb;     /* "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection" */
	struct resource *res; /* NULL: not a resource request */
	/* Never NULL; "" where there is none. They are in `texts`, `made_name` or the kind. */
	const char *group, *version, *resource, *ns, *name, *sub;
	char *texts, *made_name;
	enum repr repr;
	bool negotiated,
		wants_protobuf; /* the latter: for Status and other objects that are not of the resource, too */
	bool keeps_seat;	/* until it ends, and not only until the answer begins */
	bool packed;		/* the body of the answer has its content coding */
	bool dry_run;
	char *labels_text, *fields_text; /* for continue tokens and messages */
	struct api_selector *labels;
	struct api_field_selector *fields;
	const char *only_name; /* metadata.name demanded by path or field selector */

	/* waiting for the cache */
	struct list wait_link;
	struct loop_timer wait_timer;
	int64_t wait_rev;
	call_fn *wait_fn;

	/* read, change, write */
	enum change (*change)(struct call *c);
	enum change decided;	     /* what it said */
	struct admission *admission; /* admission.c; NULL before */
	bool creating;		     /* the key must be absent */
	json_t *body;		     /* object or patch of the request */
	json_t *old;		     /* present object, with resourceVersion; NULL: absent */
	json_t *stored;		     /* of a view: the present object as it is stored */
	int64_t old_rev;
	struct strbuf managed;	   /* managed.c: managedFields of old */
	struct strbuf asked;	   /* those the client sent along */
	struct strbuf new_managed; /* those of obj, if managed_changed */
	bool managed_changed;
	char *manager;	  /* who writes, for managedFields; NULL: not looked up yet */
	json_t *obj;	  /* what will be written */
	json_t *reply;	  /* answer with this instead of the object written (scale) */
	int64_t want_rev; /* resourceVersion demanded; 0: any */
	int tries;
	int success_code;
	bool generated_name;
	uint64_t store_ns;
	struct strbuf encoded;
	char *key; /* in the store */
	struct delete_options *del;
	char **held; /* addresses, and ports as numbers, reserved until the write is in the cache or has failed */
	size_t n_held, n_reserved;
	call_fn *reserved_fn;

	/* inner calls (deletecollection, bootstrap) */
	struct call *parent;
	void (*finish)(struct call *c, int code, const char *body, size_t len);
	void *data;			   /* of the handler: watcher, proxy, collection */
	void (*data_free)(struct call *c); /* with the last reference */
	void (*on_close)(struct call *c);  /* the client is gone or the answer is out */
};

struct call *call_new(struct apiserver *s, struct http_req *req);
/* Of the server itself. ns, name and sub may be "" and are copied; res may be NULL (the caller then says so). */
struct call *call_new_inner(struct apiserver *s, const char *verb, struct resource *res, const char *ns,
			    const char *name, const char *sub);
#define CALL_NAME_MAX 255
int call_set_name(struct call *c, const char *name); /* a copy; 0 or -ENOMEM */
struct call *call_ref(struct call *c);
void call_unref(struct call *c);
static inline bool call_dead(const struct call *c)
{
	return c->answered || (!c->req && !c->finish);
}
void call_started_stream(struct call *c, int code); /* counts a request whose answer is a stream */

/* Answers: exactly one per call; nothing happens if the client is gone. */
void call_json(struct call *c, int code, json_t *body); /* steals */
void call_bytes(struct call *c, int code, const char *type, const void *data, size_t len);
void call_buf(struct call *c, int code, struct http_buf *buf);			       /* borrows; application/json */
void call_typed_buf(struct call *c, int code, const char *type, struct http_buf *buf); /* borrows */
void call_status(struct call *c, int code, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void call_not_found(struct call *c); /* pods "x" not found */
void call_conflict(struct call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void call_invalid(struct call *c, const struct api_errs *errs);
void call_invalid1(struct call *c, enum api_cause cause, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void call_options_invalid(struct call *c, const char *kind, const struct api_errs *errs); /* of parameters */
void call_oom(struct call *c);
void call_store_error(struct call *c, int r, const struct err *err);
const char *call_query(struct call *c, const char *name); /* NULL for inner calls */
bool call_query_true(struct call *c, const char *name);
const char *call_resource_name(const struct call *c, char *buf, size_t size); /* "deployments.apps", "pods" */

/* --- represent.c: answers with objects, in the form the client asked for ------------------------------------------ */

/* negotiate.c. 0, or -1 and a 406 has been sent. */
int call_negotiate(struct call *c);
bool call_choose_repr(struct call *c); /* sets c->repr; false: none suits, it is JSON */
void call_not_acceptable(struct call *c, const char *types);
/* The one of `types` (NULL-terminated) that an Accept header prefers; NULL: none. */
const char *accept_choose(const char *header, const char *const *types);

void call_object_buf(struct call *c, int code, struct http_buf *json); /* borrows */
void call_object_json(struct call *c, int code, json_t *obj);	       /* borrows */
/*
 * list_stream.c. List of whole objects (borrowed buffers; a long answer keeps references). cont "" = last page;
 * remaining < 0 = unknown.
 */
void call_list(struct call *c, struct http_buf *const *items, size_t n, int64_t rev, const char *cont,
	       int64_t remaining);
json_t *partial_metadata(const json_t *obj);
/* A stored object in JSON, metadata JSON or either protobuf, appended to out. 0 or -ENOMEM. */
int object_write_form(const struct resource *r, const struct http_buf *json, enum repr repr, struct strbuf *out);
json_t *object_parse(const struct resource *r, const struct http_buf *json, bool only_metadata); /* NULL: no memory */
const char *call_include_object(struct call *c); /* what a Table's rows hold: "None", "Metadata", "Object" */

/* --- body.c ------------------------------------------------------------------------------------------------------- */

/* Parses and checks the body as `type` of `kind`; on failure it has answered and returns -1. */
int call_read_object(struct call *c, const struct api_kind *kind, const char *api_version, const struct api_type *type,
		     json_t **ret);
/* JSON or YAML without a schema. */
int call_read_any(struct call *c, json_t **ret, struct api_errs *dups);
/* Unknown and duplicate fields according to fieldValidation; -1: answered. */
int call_field_errors(struct call *c, const struct api_kind *kind, const struct api_errs *errs);

/* --- route.c, authn.c --------------------------------------------------------------------------------------------- */

void route_request(struct http_req *req, void *arg);
/* Finds out who asks (c->who) and goes on with then(), now or later; or answers 401 or 503 itself. */
void authn_identify(struct call *c, call_fn *then);
int authn_new(struct apiserver *s, const struct apiserver_config *config, struct authn **ret, struct err *err);
void authn_free(struct authn *a);
bool oidc_handle(struct call *c, const char *path); /* true: answered */
void authn_refuse(struct call *c);		    /* 401, the same whatever the reason */

/* --- identity.c, review.c ----------------------------------------------------------------------------------------- */

int identity_copy(struct identity *dst, const struct identity *src); /* deep; 0 or -ENOMEM */
void identity_done(struct identity *who);
bool identity_in_group(const struct identity *who, const char *group);
json_t *identity_user_info(const struct identity *who); /* authentication.k8s.io/v1 UserInfo */

/* Kinds that are questions (api_kind.review): answers c by the kind's own function. */
void review_handle(struct call *c);
/*
 * The answer to a review: c->body with this status (steals), 201. For the review functions, which find the checked
 * question in c->body.
 */
void review_answer(struct call *c, json_t *status);

/* --- authz.c, discovery.c ----------------------------------------------------------------------------------------- */

enum verdict { AUTHZ_DENY, AUTHZ_ALLOW };
struct authz_request {
	const struct identity *who;
	const char *verb, *group, *resource, *sub, *ns, *name;
	const char *path; /* non-resource request; else NULL */
};
/* reason (may be NULL) gets why, in Kubernetes' words; it may be empty. */
enum verdict authz_decide(struct apiserver *s, const struct authz_request *a, struct strbuf *reason);
bool authz_always(const struct authz_request *a); /* allowed without a look at roles: the cache need not be there */
int authz_init(struct apiserver *s, struct err *err);
void authz_done(struct apiserver *s); /* after the cache */
/* fn once the roles and bindings whose writes were acknowledged here count. */
void authz_wait(struct call *c, int timeout_ms, call_fn *fn);
void authz_wrote(struct call *c, int64_t rev);
/* Node of system:node:<name>, NULL if it is not a node. */
const char *authz_node_of(const struct identity *who);

bool discovery_handle(struct call *c, const char *path); /* true: answered */
bool health_handle(struct call *c, const char *path);	 /* health.c; likewise */

/* openapi.c */
bool openapi_handle(struct call *c, const char *path); /* true: answered */
void openapi_forget(struct apiserver *s);	       /* the kinds have changed, or the end */

/* gzip.c */
struct gzip;
bool gzip_accepted(const struct call *c);
void gzip_announce(struct call *c); /* the headers */
struct gzip *gzip_new(void);
void gzip_free(struct gzip *g);
int gzip_add(struct gzip *g, const void *data, size_t len, bool last, struct strbuf *out); /* 0 or -errno */
int gzip_whole(const void *data, size_t len, struct strbuf *out);

/* --- registry_*.c ------------------------------------------------------------------------------------------------- */

void cache_wait(struct call *c, int64_t rev, int timeout_ms, call_fn *fn); /* fn now or later; answers 504 itself */
/* While it waited its kind may have gone, or changed, on another server: then it has been answered. */
bool cache_retired(struct call *c);
void cache_wait_fresh(struct call *c, call_fn *fn); /* until what was acknowledged before now is in the cache */
void cache_wake(struct apiserver *s);
void cache_wait_in(struct call *c, struct list *waiters, int64_t rev, int timeout_ms, call_fn *fn);
void cache_wait_over(struct call *c); /* takes it out of what it waits in */

void registry_get(struct call *c);
void registry_list(struct call *c);
void registry_watch(struct call *c);
void registry_create(struct call *c);
void registry_update(struct call *c);
void registry_patch(struct call *c);
void registry_delete(struct call *c);
void registry_delete_collection(struct call *c);

/* Reads the object of c->key and runs c->change on it, again as long as others write in between. */
void registry_mutate(struct call *c);
int registry_set_key(struct call *c); /* -1: answered */
void mutate_decide(struct call *c);   /* runs change() on what was read and does what it says */
bool object_matches(const struct call *c, const struct object *o);
int call_selectors(struct call *c); /* parses labelSelector and fieldSelector; -1: answered */
/* resourceVersion parameter: 0 absent or "0" (*ret_zero), -1: answered. */
int call_resource_version(struct call *c, int64_t *ret_rev, bool *ret_zero);

/* create.c: checks and fields of a new object in c->body; -1: answered. */
int object_prepare_create(struct call *c, json_t *obj);
/* What is decided anew with every try: addresses, names of kinds. -1: answered. */
int object_finish_create(struct call *c, json_t *obj);
/* update.c: what an update may change. -1: answered. */
int object_prepare_update(struct call *c, json_t *obj, const json_t *old, bool status);
int object_check_namespace(struct call *c);
/* resourceVersion that obj demands, to c->want_rev; -1: answered. */
int call_body_version(struct call *c, const json_t *obj);
#define STALE "the object has been modified; please apply your changes to the latest version and try again"
void object_set_generation(struct call *c, json_t *obj, const json_t *old); /* one more if the spec differs */

/* admission.c: sends what was decided through the plugins; then() once all agree, else the call has been answered. */
struct admission;
/* names, comma-separated, or NULL; all plugins are on unless disabled */
int admission_init(struct apiserver *s, const char *enabled, const char *disabled, struct err *err);
void admission_run(struct call *c, call_fn *then);
/* exec, attach, portforward: options is the PodExecOptions or the like; stolen. */
void admission_connect(struct call *c, json_t *options, call_fn *then);
void admission_free(struct admission *a);
json_t *priority_default_object(int i); /* the i-th of every cluster's PriorityClasses; NULL past the end */

/* delete.c */
struct delete_options {
	bool has_grace;
	int64_t grace_s;
	const char *policy; /* "Background", "Foreground", "Orphan" or NULL; static text */
	char uid[64];
	int64_t rev;
};
int delete_options_read(struct call *c, struct delete_options *ret);
int delete_options_from(struct call *c, const json_t *body, struct delete_options *ret); /* -1: answered */
enum change delete_change(struct call *c);
bool deletion_finished(const struct api_kind *kind,
		       const json_t *obj); /* terminating and nothing holds it any longer */

/* watch_encode.c. Borrowed; NULL: out of memory. Any form but a table, which is each watcher's own. */
struct http_buf *event_encoding(const struct resource *r, struct event *ev, enum watch_type type, enum repr repr);
void event_encodings_free(struct event *ev);
/* A stored object as such an event; a new reference. */
struct http_buf *watch_frame(const struct resource *r, const struct http_buf *json, const char *type, enum repr repr);
/* What is not a stored object: bookmarks, errors and tables. obj is borrowed, and NULL is out of memory, too. */
struct http_buf *watch_frame_of(const json_t *obj, const char *type, enum repr repr);

/* watch.c */
void watch_dispatch(struct resource *r, struct event *ev);
void watch_end(struct resource *r);
void watch_end_all(struct apiserver *s);

/* --- crd.c, crd_names.c, crd_cleanup.c: CustomResourceDefinitions ------------------------------------------------- */

#define CRD_PREFIX "/apiextensions.k8s.io/customresourcedefinitions/"

/* What we know of one definition, whether it is served or not. */
struct definition {
	struct apiserver *s;
	json_t *spec, *accepted; /* what is served was made of these */
	char *name, *group, *plural;
	bool seen; /* in the load under way */
	bool served, names_accepted, terminating;
	struct loop_timer cleanup;
	size_t n_running; /* deletions of its objects */
};
/* The load of the cache begins with the definitions: what they define is there before its objects are read. */
void crd_load_begin(struct apiserver *s);
void crd_load(struct apiserver *s, const void *value, size_t len);
void crd_load_end(struct apiserver *s);
void crd_changed(struct resource *r, const struct object *cur, const struct object *prev);
void crd_done(struct apiserver *s);
bool crd_is(const struct api_kind *kind);
/* May an object of this kind be created? Its definition may be on its way out. */
bool crd_terminating(struct apiserver *s, const struct api_kind *kind);
/* Tells users of a deprecated version. */
void crd_warn(struct call *c);
/* A value as the store has it to what this version shows: its apiVersion, defaults, nothing unknown. */
void custom_convert(const struct resource *r, json_t *obj);

/* Status of a definition that is about to be written: names, conditions, stored versions. 0 or -ENOMEM. */
int crd_decide(struct apiserver *s, json_t *obj);
int crd_mark_deleted(json_t *obj);
void crd_recheck_names(struct apiserver *s); /* a definition has gone: others may get its names */

void crd_cleanup_soon(struct definition *d);

/* --- rest_*.c: what single kinds need ----------------------------------------------------------------------------- */

int kind_prepare_create(struct call *c, json_t *obj);	  /* status and the like; -1: answered */
void kind_mark(const struct api_kind *kind, json_t *obj); /* the condition of what nothing acts on, if it has none */
void kind_warn(struct call *c);				  /* when no controller acts on such objects */
void kind_created(struct call *c);			  /* the same, as an event, when the object is written */
/* proxy.c: "https://10.0.0.1:10250". -ENOENT: there is no such node; -EAGAIN: it has no address yet. */
int node_agent_url(struct apiserver *s, const char *node, char *buf, size_t size);
void usage_handle(struct call *c); /* usage.c: metrics.k8s.io */
int pod_prepare_create(struct call *c, json_t *obj);
/* rest_pod_sub.c: pods/ephemeralcontainers and pods/resize, which each write one part of the spec. */
bool pod_sub_of(const struct call *c);
/* Makes obj, a pod as a client of such a subresource wants it, into old with what that may change. */
int pod_write_sub(const struct call *c, json_t *obj, const json_t *old);
/* An update of a pod by itself touches nothing that has a subresource of its own; -1: answered. */
int pod_check_update(struct call *c, const json_t *obj, const json_t *old);
void pod_set_qos(json_t *pod); /* status.qosClass from the containers' resources */
void pod_binding(struct call *c);
void pod_eviction(struct call *c);
int service_prepare_create(struct call *c, json_t *obj);
int service_prepare_update(struct call *c, json_t *obj, const json_t *old);
void service_release_held(struct call *c);
/* What a call has reserved: an address, or a port as a number. */
int service_hold(struct call *c, const char *text);
bool service_holds(const struct call *c, const char *text);
/* rest_service_ports.c: spec of a service; was: as it is stored, NULL if it is new */
bool service_has_port(const json_t *spec, int64_t port);
void service_for_ports(const json_t *spec, void (*fn)(struct portalloc *a, int64_t port), struct portalloc *a);
void service_ports_keep(json_t *spec, const json_t *was);
int service_ports_allocate(struct call *c, json_t *spec, const json_t *was); /* -1: answered */
void service_changed(struct resource *r, const struct object *cur, const struct object *prev);
/* admission_service_account.c: pods that wait for their namespace's default account. */
void service_account_changed(struct resource *r, const struct object *cur, const struct object *prev);
void service_account_forget_waiters(struct apiserver *s);
void service_reserve(struct call *c, call_fn *then); /* what is held among several servers; answers itself on failure */
void service_sweep(struct apiserver *s);
int namespace_prepare_create(json_t *obj);
void namespace_finalize(struct call *c);
bool csr_is(const struct api_kind *kind); /* rest_csr.c */
int csr_prepare_create(struct call *c, json_t *obj);
int csr_prepare_update(struct call *c, json_t *obj, const json_t *old);
void scale_handle(struct call *c);
json_t *scale_of(const struct call *c, const json_t *obj); /* its Scale; new */
void apiserver_serve_passed(struct apiserver *s);	   /* server.c */
void proxy_log(struct call *c);
void proxy_node(struct call *c);   /* nodes/{name}/proxy/...: GET of the agent's API */
void proxy_stream(struct call *c); /* exec, attach, portforward */
/* authn_ws.c: the subprotocols that a client offers without its bearer token, which is nobody else's business. */
void ws_bearer_strip(const char *offer, struct strbuf *out);
void bootstrap_start(struct apiserver *s);

/* store_care.c: compaction, and the store's health and room */
int store_care_init(struct apiserver *s, struct err *err);
void store_care_stop(struct apiserver *s); /* before the store is closed */
void store_care_done(struct apiserver *s); /* after it */

/* ipalloc.c: the service addresses in use, followed from the cache, plus reservations of writes under way. */
int ipalloc_new(const char *cidrs, struct ipalloc **ret, struct err *err);
void ipalloc_free(struct ipalloc *a);
int ipalloc_family(const struct ipalloc *a, int i);		    /* AF_INET, AF_INET6 */
const char *ipalloc_cidr_text(const struct ipalloc *a, int family); /* NULL: family not served */
bool ipalloc_contains(const struct ipalloc *a, int family, const char *ip);
/* 0; -EADDRINUSE; -ERANGE not in the range; -EINVAL not an address. */
int ipalloc_take(struct ipalloc *a, int family, const char *ip);
int ipalloc_take_any(struct ipalloc *a, int family, char *ret_ip /* INET6_ADDRSTRLEN */);
void ipalloc_hold(struct ipalloc *a, const char *ip); /* one more count, whoever has it */
void ipalloc_release(struct ipalloc *a, const char *ip);
void ipalloc_first(const struct ipalloc *a, int i, char *ret_ip); /* base + 1: the `kubernetes` Service */

/* portalloc.c: the node ports in use, in the same way. */
int portalloc_new(const char *range, struct portalloc **ret, struct err *err);
void portalloc_free(struct portalloc *a);
const char *portalloc_range(const struct portalloc *a);
int portalloc_take(struct portalloc *a, int64_t port);		/* 0; -EADDRINUSE; -ERANGE */
int portalloc_take_any(struct portalloc *a, int64_t *ret_port); /* 0; -ENOSPC */
void portalloc_hold(struct portalloc *a, int64_t port);		/* one more count, whoever has it */
void portalloc_release(struct portalloc *a, int64_t port);

/* object.c: helpers on JSON trees */
void obj_set_str(json_t *obj, const char *path, const char *value);
json_t *obj_meta(json_t *obj); /* metadata, made if missing */
void obj_now(char *buf);       /* RFC 3339 of now */
bool obj_has_finalizer(const json_t *obj, const char *name);
void obj_random_suffix(char *buf, size_t n);

#endif
