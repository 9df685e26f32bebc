#include <stdio.h>
#include <string.h>
struct S { int a, b, c; double d; char e[40]; };
struct T { long x, y, z; };
__attribute__((noinline)) int use(int k, struct S s, int m) { s.e[3] += k; return s.a + s.b * k + (int)s.d + s.e[3] + m; }
__attribute__((noinline)) int many(int a,int b,int c,int d,int e,int f,long g,int h,int i){return a+2*b+3*c+4*d+5*e+6*f+7*g+8*h+9*i;}
__attribute__((noinline)) static long sum(const long *p,int n){long s=0;for(int i=0;i<n;i++)s+=p[i];return s;}
__attribute__((noinline)) long three(struct T t, struct T u){ return sum(&t.x,3)*2+sum(&u.x,3); }
int (*volatile fp)(int, struct S, int) = use;
struct big { char b[200]; };
__attribute__((noinline)) int bigf(struct big b, int x){ int s=0; for(int i=0;i<200;i++) s+=b.b[i]*x; return s; }
int main(int argc,char**argv){
  struct S s={1,2,3,4.5,"hello"}; struct T t={argc,5,6},u={7,8,argc*2};
  printf("%d\n", use(argc,s,9));
  printf("%d\n", fp(argc+1,s,10));
  printf("%d\n", many(argc,2,3,4,5,6,7,8,argc+9));
  printf("%ld\n", three(t,u));
  printf("%d %d %d %d %d %d %d %s %f\n",1,argc,3,4,5,6,7,"x",argc*1.5);
  struct big b; memset(&b,argc,sizeof b); b.b[7]=9; printf("%d\n", bigf(b,argc+2));
  return 0;}
